"""Words of the demo's radiologists: many ways to state a finding, its absence, or that an organ is normal.

Enters: nothing. Leaves: templates by finding and organ. Placeholders: {size} "12 mm" or "1.2 cm", {side}, {lobe},
{type}, {place}, {level}, {ptr} an image pointer or nothing. Every sentence was written for this project.
"""

from __future__ import annotations

LOBE_NAMES = {
    "lung_upper_lobe_left": ("left upper lobe", "LUL"),
    "lung_lower_lobe_left": ("left lower lobe", "LLL"),
    "lung_upper_lobe_right": ("right upper lobe", "RUL"),
    "lung_middle_lobe_right": ("right middle lobe", "RML"),
    "lung_lower_lobe_right": ("right lower lobe", "RLL"),
}

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    # organ group: (sub-heading, findings that belong to it), in reading order
    "airway": ("Airways", ()),
    "lungs": ("Lungs", ("lung_nodule", "consolidation", "emphysema", "atelectasis")),
    "pleura": ("Pleura", ("pleural_effusion", "pneumothorax")),
    "heart": ("Heart and pericardium", ("cardiomegaly", "pericardial_effusion")),
    "nodes": ("Lymph nodes", ("lymphadenopathy",)),
    "aorta": ("Aorta", ("aortic_aneurysm",)),
    "liver": ("Liver", ("liver_lesion", "hepatic_steatosis")),
    "gallbladder": ("Gallbladder and bile ducts", ("gallstone",)),
    "spleen": ("Spleen", ("splenic_lesion", "splenomegaly")),
    "pancreas": ("Pancreas", ("pancreatic_mass",)),
    "adrenals": ("Adrenal glands", ()),
    "kidneys": ("Kidneys", ("kidney_stone", "kidney_cyst", "hydronephrosis")),
    "bladder": ("Urinary bladder", ("bladder_stone", "bladder_mass")),
    "bowel": ("Stomach and bowel", ()),
    "peritoneum": ("Peritoneum", ("ascites",)),
    "bones": ("Bones", ("vertebral_fracture", "rib_fracture")),
}
CHEST_GROUPS = ("airway", "lungs", "pleura", "heart", "nodes", "aorta", "bones")
ABDOMEN_GROUPS = (
    "liver",
    "gallbladder",
    "spleen",
    "pancreas",
    "adrenals",
    "kidneys",
    "bladder",
    "bowel",
    "peritoneum",
    "nodes",
    "aorta",
    "bones",
)

PRESENT: dict[str, tuple[str, ...]] = {
    "lung_nodule": (
        "There is a {size} {type} nodule in the {lobe}{ptr}.",
        "{Lobe}: {type} pulmonary nodule measuring {size}{ptr}.",
        "A {type} nodule of {size} is seen in the {lobe}{ptr}.",
        "{Size} {type} pulmonary nodule, {lobe}{ptr}.",
    ),
    "consolidation": (
        "Airspace consolidation in the {lobe}{ptr}, likely infectious.",
        "There is patchy consolidation with air bronchograms in the {lobe}{ptr}.",
        "{Lobe} opacity extending over {size}{ptr}, suspicious for pneumonia.",
        "Confluent airspace opacities are present in the {lobe}{ptr}.",
    ),
    "pleural_effusion": (
        "{Type} {side} pleural effusion{ptr}.",
        "There is a {type} pleural effusion on the {side}, {size} in depth{ptr}.",
        "A {type} {side}-sided pleural effusion is present with adjacent compressive atelectasis{ptr}.",
    ),
    "emphysema": (
        "{Type} centrilobular emphysema with upper lobe predominance.",
        "There are {type} emphysematous changes in both upper lobes.",
        "Background {type} emphysema.",
    ),
    "atelectasis": (
        "Linear atelectasis in the {lobe}{ptr}.",
        "Bandlike subsegmental atelectasis is noted in the {lobe}{ptr}.",
        "Discoid atelectasis at the {side} lung base{ptr}.",
    ),
    "pneumothorax": (
        "{Type} {side} pneumothorax{ptr}.",
        "There is a {type} pneumothorax on the {side}, {size} deep anteriorly{ptr}.",
        "{Side}-sided pneumothorax, {type}{ptr}.",
    ),
    "cardiomegaly": (
        "The heart is enlarged.",
        "{Type} cardiomegaly.",
        "Cardiac silhouette is {type}ly enlarged.",
        "Heart size is increased.",
    ),
    "pericardial_effusion": (
        "{Type} pericardial effusion measuring up to {size}{ptr}.",
        "There is a {type} pericardial effusion{ptr}.",
        "Fluid in the pericardial sac up to {size} thick{ptr}.",
    ),
    "aortic_aneurysm": (
        "Aneurysm of the {type} aorta measuring {size} in maximum diameter{ptr}.",
        "The {type} aorta is aneurysmal, up to {size}{ptr}, with mural thrombus.",
        "{Type} aortic aneurysm, {size}{ptr}.",
    ),
    "lymphadenopathy": (
        "Enlarged {type} lymph nodes, up to {size} in short axis{ptr}.",
        "There is {type} lymphadenopathy measuring up to {size}{ptr}.",
        "Pathologically enlarged {type} nodes are seen, the largest {size}{ptr}.",
    ),
    "liver_lesion": (
        "There is a {size} {liver_type} in the liver{ptr}.",
        "{Size} {liver_type} of the liver{ptr}.",
        "The liver shows a {liver_type} measuring {size}{ptr}.",
        "Hepatic {liver_type} of {size}{ptr}.",
    ),
    "hepatic_steatosis": (
        "Diffuse low attenuation of the liver consistent with hepatic steatosis.",
        "The liver is fatty.",
        "Diffuse hepatic steatosis.",
    ),
    "gallstone": (
        "Cholelithiasis, largest stone {size}{ptr}.",
        "{Gallstones} in the gallbladder measuring up to {size}{ptr}, without wall thickening.",
        "There are calcified gallstones up to {size}{ptr}.",
    ),
    "splenomegaly": (
        "Splenomegaly, the spleen measures {size}.",
        "The spleen is enlarged at {size}.",
        "Enlarged spleen ({size}).",
    ),
    "splenic_lesion": (
        "Hypodense lesion in the spleen measuring {size}{ptr}.",
        "There is a {size} low-attenuation splenic lesion{ptr}.",
        "Indeterminate {size} lesion of the spleen{ptr}.",
    ),
    "kidney_stone": (
        "{Size} nonobstructing calculus in the {place} pole of the {side} kidney{ptr}.",
        "There is a {size} stone in the {side} kidney{ptr}.",
        "{Side} nephrolithiasis with a {size} calculus{ptr}.",
    ),
    "kidney_cyst": (
        "Simple cyst in the {side} kidney measuring {size}{ptr}.",
        "There is a {size} cyst at the {place} pole of the {side} kidney{ptr}.",
        "{Side} renal cyst, {size}{ptr}.",
    ),
    "hydronephrosis": (
        "{Type} {side} hydronephrosis{ptr}.",
        "There is {type} dilatation of the {side} renal collecting system{ptr}.",
        "{Type} hydronephrosis on the {side} with a dilated proximal ureter{ptr}.",
    ),
    "pancreatic_mass": (
        "{Type} mass in the pancreatic {place} measuring {size}{ptr}.",
        "There is a {size} {type} lesion of the {place} of the pancreas{ptr}.",
        "{Size} {type} mass arises from the pancreatic {place}{ptr}, suspicious for neoplasm.",
    ),
    "vertebral_fracture": (
        "Compression fracture of {level} with about {type}% loss of height{ptr}.",
        "There is a wedge compression deformity of the {level} vertebral body{ptr}.",
        "{level} compression fracture, approximately {type}% height loss{ptr}.",
    ),
    "rib_fracture": (
        "Fracture of the {place} {side} {ordinal} rib{ptr}.",
        "There is a {side} {ordinal} rib fracture with callus{ptr}.",
        "Healing fracture of the {side} {ordinal} rib, {place}{ptr}.",
    ),
    "bladder_stone": (
        "{Size} calculus in the urinary bladder{ptr}.",
        "There is a dependent bladder stone measuring {size}{ptr}.",
        "Bladder calculus, {size}{ptr}.",
    ),
    "bladder_mass": (
        "Mass of the {place} bladder wall measuring {size}{ptr}.",
        "There is a {size} polypoid lesion arising from the {place} wall of the urinary bladder{ptr}.",
        "Focal {place} bladder wall thickening forming a {size} mass{ptr}, concerning for urothelial carcinoma.",
    ),
    "ascites": (
        "{Type} volume ascites.",
        "There is a {type} amount of ascites.",
        "Free intraperitoneal fluid, {type} in amount.",
    ),
}

IMPRESSION: dict[str, tuple[str, ...]] = {
    "lung_nodule": ("{Size} nodule in the {lobe}; follow-up CT recommended.", "{Lobe} pulmonary nodule, {size}."),
    "consolidation": ("{Lobe} pneumonia.", "Consolidation in the {lobe}, most likely infectious."),
    "pleural_effusion": ("{Type} {side} pleural effusion.",),
    "emphysema": ("{Type} emphysema.",),
    "atelectasis": ("{Lobe} atelectasis.",),
    "pneumothorax": ("{Type} {side} pneumothorax.",),
    "cardiomegaly": ("Cardiomegaly.",),
    "pericardial_effusion": ("{Type} pericardial effusion.",),
    "aortic_aneurysm": ("{Type} aortic aneurysm, {size}.", "{Size} aneurysm of the {type} aorta."),
    "lymphadenopathy": ("{Type} lymphadenopathy.",),
    "liver_lesion": ("Hepatic {liver_type}, {size}.", "{Liver_type} in the liver."),
    "hepatic_steatosis": ("Hepatic steatosis.",),
    "gallstone": ("Cholelithiasis without evidence of cholecystitis.", "Cholelithiasis."),
    "splenomegaly": ("Splenomegaly.",),
    "splenic_lesion": ("Indeterminate splenic lesion, {size}.",),
    "kidney_stone": ("{Side} nephrolithiasis.", "{Size} {side} renal calculus."),
    "kidney_cyst": ("Simple {side} renal cyst.",),
    "hydronephrosis": ("{Type} {side} hydronephrosis.",),
    "pancreatic_mass": (
        "{Size} mass of the pancreatic {place}, suspicious for malignancy.",
        "Pancreatic {place} lesion, {size}.",
    ),
    "vertebral_fracture": ("{level} compression fracture.",),
    "rib_fracture": ("{Side} {ordinal} rib fracture.",),
    "bladder_stone": ("Bladder calculus.",),
    "bladder_mass": ("Bladder mass, {size}; cystoscopy recommended.",),
    "ascites": ("Ascites.",),
}

ABSENT: dict[str, tuple[str, ...]] = {
    "lung_nodule": ("No suspicious pulmonary nodule.", "No pulmonary nodules or masses."),
    "consolidation": ("No focal consolidation.", "No airspace consolidation."),
    "emphysema": ("No emphysema.",),
    "atelectasis": ("No significant atelectasis.",),
    "pleural_effusion": ("No pleural effusion.", "No evidence of pleural effusion."),
    "pneumothorax": ("No pneumothorax.", "There is no pneumothorax."),
    "cardiomegaly": ("Heart size is normal.", "The heart is normal in size.", "No cardiomegaly."),
    "pericardial_effusion": ("No pericardial effusion.",),
    "aortic_aneurysm": ("No aortic aneurysm.", "The aorta is normal in caliber."),
    "lymphadenopathy": (
        "No enlarged lymph nodes.",
        "No lymphadenopathy.",
        "No pathologically enlarged lymph nodes are seen.",
    ),
    "liver_lesion": ("No focal hepatic lesion.", "No focal liver lesion is identified."),
    "hepatic_steatosis": ("No hepatic steatosis.",),
    "gallstone": ("No gallstones.", "No radiopaque gallstones are seen."),
    "splenic_lesion": ("No focal splenic lesion.",),
    "splenomegaly": ("Spleen is normal in size.", "No splenomegaly."),
    "pancreatic_mass": ("No pancreatic mass.", "No focal pancreatic lesion or ductal dilatation."),
    "kidney_stone": ("No renal calculi.", "No nephrolithiasis."),
    "kidney_cyst": ("No renal cyst.",),
    "hydronephrosis": ("No hydronephrosis.", "No hydronephrosis on either side."),
    "bladder_stone": ("No bladder calculi.",),
    "bladder_mass": ("No bladder mass.",),
    "ascites": ("No ascites.", "No free fluid.", "There is no ascites."),
    "vertebral_fracture": ("No vertebral compression fracture.", "Vertebral body heights are maintained."),
    "rib_fracture": ("No rib fracture.",),
}

NORMAL: dict[str, tuple[str, ...]] = {
    "airway": ("The trachea and central airways are patent.", "Central airways are clear."),
    "lungs": ("The lungs are clear.", "Lungs are clear bilaterally.", "Lungs: unremarkable."),
    "pleura": ("No pleural effusion or pneumothorax.", "The pleural spaces are clear."),
    "heart": ("The heart is normal in size without pericardial effusion.", "Heart and pericardium are unremarkable."),
    "nodes": ("No lymphadenopathy.", "No enlarged lymph nodes."),
    "aorta": ("The aorta is normal in caliber.", "Normal caliber aorta without aneurysm."),
    "liver": (
        "The liver is unremarkable.",
        "Normal liver without focal lesion.",
        "Liver is normal in size and attenuation.",
    ),
    "gallbladder": ("The gallbladder is unremarkable.", "Normal gallbladder. No biliary dilatation."),
    "spleen": ("The spleen is normal.", "Spleen is unremarkable."),
    "pancreas": ("The pancreas is unremarkable.", "Normal pancreas."),
    "adrenals": ("The adrenal glands are normal.", "Both adrenal glands are unremarkable."),
    "kidneys": (
        "Both kidneys are unremarkable.",
        "Kidneys enhance symmetrically, no hydronephrosis or calculi.",
        "The kidneys are normal.",
    ),
    "bladder": ("The urinary bladder is unremarkable.", "Normal bladder."),
    "bowel": ("No bowel obstruction.", "Stomach and bowel loops are unremarkable.", "The bowel is normal in caliber."),
    "peritoneum": ("No ascites or free air.", "No free fluid."),
    "bones": (
        "No acute osseous abnormality.",
        "No suspicious bone lesion or fracture.",
        "Osseous structures are intact.",
    ),
}

STABILITY = (
    ", unchanged compared to {prior}", ", stable since {prior}", ", new compared to {prior}",
    ", increased since the prior study of {prior}",
)  # fmt: skip
HEDGES = ("Cannot exclude a small underlying lesion.", "Clinical correlation is suggested.",
          "Follow-up imaging may be considered.")  # fmt: skip
INDICATIONS = {
    "chest": ("cough and weight loss", "dyspnea", "fever, rule out pneumonia", "staging", "chest pain"),
    "abdomen": ("abdominal pain", "elevated liver enzymes", "flank pain, hematuria", "weight loss", "rule out abscess"),
    "chest_abdomen_pelvis": ("staging of known malignancy", "polytrauma", "fever of unknown origin", "restaging"),
}
ORDINALS = (
    "",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
)
