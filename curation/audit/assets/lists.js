// The sampling page: a drop is judged with one button.
"use strict";
for (const button of document.querySelectorAll("button.judge"))
  button.addEventListener("click", async () => {
    const said = button.parentElement.querySelector(".judged");
    const answer = await fetch(`/verdict/${button.dataset.item.split("/").map(encodeURIComponent).join("/")}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ verdict: button.dataset.verdict, note: "" }),
    });
    said.textContent = answer.ok ? `${button.textContent} dropped` : "not kept";
  });
