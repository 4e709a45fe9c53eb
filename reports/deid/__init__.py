"""The layers of de-identification; `reports.deidentify` is the door."""
