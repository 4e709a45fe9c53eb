"""Word pools of reports_unseen.py: invented names and places, clinical sentences, report templates."""

# One row per origin: female given | male given | family.  "_" stands for a blank inside a name.
NAME_ROWS = """
Margaret Emily Charlotte Abigail Eleanor Harriet Beatrice Penelope Rosemary Gwendolyn Josephine Theodora Philippa Mary-Ann Mary_Lou Kaylee Brittany Jennifer Deborah Susan Linda Patricia | William Robert Christopher Benjamin Nathaniel Theodore Reginald Geoffrey Timothy Leonard Gregory Bradley Jonathan Michael Richard Thomas Edward Kenneth Anthony Joseph | Smith Johnson Williams Taylor Harrison Whitaker Pemberton Ashworth Fitzgerald Thornton Wellington Hathaway Kingsley-Moore Worthington Ellsworth Blackwood Carmichael Huddleston Wainwright Featherstone Cholmondeley Lancaster Bradshaw Atkinson Robertson Sutherland Prescott Montgomery Hargreaves Ainsworth Bancroft Cavendish Smith-Jones Parker_Bowles Higginbotham Stevenson Pennington Rutherford
Siobhán Aoife Niamh Caoimhe Gráinne Orlaith Fionnuala Moira Eilidh Catriona Ffion Angharad | Seán Pádraig Cormac Diarmuid Eoghan Ruairí Callum Hamish Alasdair Gethin Rhys Llewellyn | O'Brien O'Sullivan O'Shaughnessy O'Dowd McDonald MacDonald McGillicuddy MacLeod McKenna Ó_Súilleabháin Fitzpatrick Gallagher Donnelly Brennan Kavanagh Flanagan Dougherty Campbell-Reid Abercrombie Colquhoun Urquhart Llywelyn Griffiths Pritchard Cadwallader D'Arcy St._John Mac_an_Bhaird
Ursula Heidrun Brünnhilde Käthe Annegret Liesel Anna-Lena Mechthild Jördis Waltraud Sieglinde Friederike | Jürgen Günther Wolfgang Karl-Heinz Jörg Dietrich Björn Helmut Ulrich Götz Lothar Hans-Peter | Müller Schröder Weiß Großmann Schäfer Köhler Böhm Jäger Vögeli Zimmermann Hoffmann von_der_Leyen von_Bülow zu_Guttenberg Müller-Lüdenscheidt Kühn Strauß Lindner Pfeiffer Oberhauser Schwarzenegger Niederhofer Bäumler Fröhlich Eichhorn Rüegg Vögele Übelacker
Hélène Françoise Geneviève Margaux Océane Anne-Sophie Marie-Claire Agnès Solène Thérèse Bénédicte Chloé | François Jean-Pierre Étienne Benoît Rémi Jérôme Jean-Luc Guillaume Aurélien Loïc Gaëtan Thibault | Lefèvre Beaumont de_la_Fontaine Du_Bois D'Aubigné L'Heureux Béranger Desrosiers Saint-Exupéry Le_Goff Tremblay Gagné Côté Bélanger Charpentier Rousseau Delacroix Deschamps Lécuyer-Martin Villeneuve Archambault Thibodeaux Boudreaux Fontenot Guérin Lévesque
María María_del_Carmen Guadalupe Inés Begoña Concepción Rosario Yesenia Xiomara Ximena Consuelo Milagros | José Jesús José_Luis Ángel Álvaro Ramón Joaquín Íñigo Heriberto Rigoberto Efraín Cuauhtémoc | González Rodríguez_Peña De_La_Cruz Hernández-Vega Ibáñez García_Márquez Núñez Muñoz del_Río Villanueva y_Castro Quiñones Zúñiga Echeverría Ramírez Velázquez Bustamante Santamaría Ortiz_de_Zárate Mendoza Cisneros Guerrero Montoya Peñaloza Yturralde Arreola Xochitiotzin
Conceição Graça Luísa Thaís Jéssica Rosângela Leonor Filipa | João Gonçalo Tiago Estêvão Vítor Thiago Rogério Anselmo | da_Silva dos_Santos Gonçalves Magalhães Guimarães Albuquerque_Melo Figueiredo Vasconcelos Carvalho Conceição_Reis Brandão Assunção Teixeira Nogueira
Giuseppina Chiara Donatella Graziella Ludovica Ornella Niccolò-Maria Fiammetta Gianna Concetta | Giovanni Niccolò Giancarlo Pier_Paolo Vincenzo Calogero Gaetano Ermenegildo Salvatore Raffaele | Esposito Bianchi D'Angelo Dell'Acqua De_Luca Di_Stefano Lo_Presti Mastroianni Quattrocchi Pellegrino Fumagalli Montanari Santangelo Della_Rovere Castellani Bevilacqua Cacciatore Provenzano
Annelies Marijke Saskia Wilhelmina Geertruida Sanne Femke Liesbeth | Willem Joost Pieter-Jan Gijsbert Maarten Sjoerd Cornelis Thijs | van_der_Berg van_den_Heuvel de_Vries Van_Dyke ten_Boom van_'t_Hoff Vandenberghe De_Smet Hoekstra Dijkstra Vanderbilt Wouters van_Leeuwenhoek Janssens ter_Horst Kuipers Hiddink Zuiderveld
Astrid Åsa Sigríður Ingeborg Solveig Märta Kirsi Päivi Ragnhild Guðrún | Håkan Øystein Søren Jón Gösta Kjetil Väinö Rasmus Torbjørn Åke | Ångström Søndergaard Bjørnstad Lindqvist Sjöström Þórsdóttir Guðmundsson Østergaard Nyström Hämäläinen Korhonen Virtanen Mäkinen Rasmussen Kristoffersen Hallgrímsson Åkesson Bergström Haugland Thorvaldsen
Agnieszka Małgorzata Zdzisława Kateřina Zsuzsanna Ilona Živa Snežana Rodica Jadwiga | Łukasz Zbigniew Wojciech Jiří Ondřej György István Zoran Bogdan Dragoslav | Wiśniewski Wójcik Szczepański Kowalska-Nowak Brzęczyszczykiewicz Dvořák Novotný Příhoda Szabó Horváth Kovács Nagy Petrović Đorđević Šimić Ionescu Popescu Dumitrescu Łuczak Zieliński Ceaușescu Vukašinović Hrdlička Krzyżanowski
Svetlana Yekaterina Lyudmila Oksana Anastasiya Zinaida Galina Halyna Nadezhda Tatyana | Vladimir Dmitri Sergei Yevgeny Volodymyr Mykhailo Bohdan Vyacheslav Gennady Anatoly | Ivanova Kuznetsov Shevchenko Tchaikovsky Rimsky-Korsakov Kovalenko Bondarenko Vasilyeva Zhukovskaya Mikhailov Petrosyan Sarkissian Shcherbakov Yakovlev Gorbachev Khodorkovsky Lysenko Saakashvili Tymoshenko Dzhugashvili
Fatima Khadija Aisha Zahra Noor_ul-Ain Maryam Shirin Yasmin Umm_Kulthum Soraya Rania Nasrin | Mohammed Muhammad_Ali Abdul-Rahman Khalid Hossein Yusuf Tariq Mahmoud Reza Ibrahim Abdullah Faisal | al-Rashid El-Sayed Abdul-Jabbar bin_Laith Al_Maktoum Hosseini Khorasani Tehrani Ahmadinejad Boutros-Ghali Haddad Mansour Khoury Abu_Bakr ibn_Saud Yıldız Öztürk Şahin Çelik Erdoğan Karimi Najafi Bouazizi Benali El_Fassi
Priyanka Lakshmi Ananya Sunita Harpreet Deepika Kavitha Sumathi Anjali Meenakshi Ayesha Parveen | Rajesh Venkatesh Gurpreet Arjun Subramaniam Sanjay Krishnamurthy Imran Vikram Harish Ganesh Devendra | Patel Subramanian Venkataraman Chakraborty Singh_Gill Krishnaswamy Mukherjee Iyer Banerjee Gopalakrishnan Ramachandran Choudhury Deshpande Kulkarni Siddiqui Qureshi Jayawardene Wickremasinghe Bhattacharya Agarwal Srinivasan Thapa Rahman Khan
Xiaoling Mei-Ling Yu-Chen Jiayi Hui_Min Qiuyue Wing-Yan Shu-fen Li Xue | Wei Zhiqiang Guo-Dong Kwok-Wai Jian Xiaoming Chi-Ming Haoran Bo Yong | Wang Zhang Chen Li Liu Ng Wu Xu Ouyang Szeto Au-Yeung Zhao Huang Hsieh Chiang Kwok Tsang Cheung Yip Lü Qian Zhuang
Yuki Keiko Haruka Michiko Ji-woo Soo-Jin Eun-hye Min-ji Thị_Lan Thùy_Linh Nattaporn Siti | Hiroshi Takeshi Kenjirō Daisuke Min-ho Sung-Hoon Jae-won Văn_Minh Đức Somchai Bambang Wayan | Nakamura Watanabe Takahashi Yamaguchi Ōtani Fujimoto Hashimoto Kim Park Yoon Choi Kang Nguyễn Trần Phạm Đặng Suwannarat Chaiyasit Sukarnoputri Wijaya Macapagal Dimaculangan Katigbak Bautista Santos-Reyes Lumumba-Sato
Ngozi Chiamaka Adaeze Folasade Wanjiru Thandiwe Nokuthula Amina Akosua Tsehay Tamika Keisha Shaniqua | Chukwuemeka Olumide Babajide Kwame Kofi Sipho Mandla Tendai Haile Tesfaye DeShawn Jamal Tyrone | Okonkwo Adeyemi Oluwaseun Nwachukwu Mbeki Dlamini Ndlovu Nkosi Mutombo Kamau Wanjiku Ochieng Owusu-Ansah Gebremariam Tadesse Mensah Boateng Diallo Traoré N'Diaye M'Bala Mahlangu Tshabalala Kipchoge Jefferson Washington
Nizhoni Leilani Kealoha Moana Ihilani Rivka Shoshana Yael Eleni Despina Kalliopi Tehya | Kekoa Tane Manaia Shlomo Moshe Avraham Konstantinos Stavros Panagiotis Spyridon Zvi Yitzhak | Begaye Yazzie Tsosie Kamakawiwoʻole Kahananui Tuilagi Leota Goldberg Rosenzweig Ben-David Bar-Lev Feldman Horowitz Papadopoulos Karagiannis Theodorakis Mavrogiannis Oppenheimer Birnbaum Katzenellenbogen Abramovitz
Rose Grace Hope Faith Joy Iris Violet Lily May June April Summer Dawn Hazel Olive Pearl Ruby Amber Ginger Ivy Heather Melody | Will Mark Frank Grant Chase Miles Wade Drew Rich Art Bill Rob Jack Guy August Max Victor Dean Earl Duke Sterling Colt | Young Stone Bone Short Long Head Foot Hand Legg Small Little Large White Black Brown Green Gray Marsh Field Wood Bush Rice Berry Lamb Fox Wolf Bird Fish Banks Brook Pool Waters Rivers Lake Hill Moon Day Weeks Knight King Price Sharp Best Good Noble Strong Church Temple Case Page Bishop Love Power Root Branch Winter Frost Snow Major Cross Ball Wall Hall Baker Cook Gore Douglas Foley Wells Graves Hunter Pott Bell Barrett Cobb Horner Wilson Paget Hodgkin Burkitt Ewing Salter Harris Blount Monroe Down Pick Fields Cannon Carter Marks Spear Rush Post Old Self Ray Bolus Body Nurse Sample
"""
NICK = dict(
    William="Bill",
    Robert="Bob",
    Margaret="Peggy",
    Richard="Dick",
    Jennifer="Jenny",
    Deborah="Debbie",
    Patricia="Patty",
    Guadalupe="Lupita",
    Giuseppina="Pina",
    Christopher="Chris",
    Michael="Mike",
    Vladimir="Vova",
    Fionnuala="Nuala",
)
STREETS = """Maple Avenue|Old Mill Road|Washington Boulevard|North Elm Street|Pinecrest Lane|Martin Luther King Jr. Drive|Sunset Court|
E. 43rd Street|County Road 12|Quail Hollow Circle|Broadway|Rural Route 3|Peachtree Place|Saint Andrews Way"""
TOWNS_US = """Springfield,IL,62704|Mobile,AL,36602|Orange,CA,92866|Bath,ME,04530|Winston-Salem,NC,27101|Coeur d'Alene,ID,83814|
Albuquerque,NM,87102|Sleepy Eye,MN,56085|St. Louis,MO,63104|Truth or Consequences,NM,87901|Poughkeepsie,NY,12601|Tallahassee,FL,32301-1234"""
FOREIGN_ADDRESSES = """14 Rosemount Crescent;Reading RG1 5AN|Flat 2, 7 Gower Mews;London WC1E 6HJ|Lindenstraße 17a;80331 München|Königsallee 92;40212 Düsseldorf|
12 bis, rue de l'Église;67000 Strasbourg|C/ Alcalá 45, 3º B;28014 Madrid|Via Garibaldi 8;40124 Bologna|Prinsengracht 263-2;1016 GV Amsterdam|
Rua das Flores, 120;4050-262 Porto|Storgatan 5;111 23 Stockholm|1200 rue Sherbrooke O., app. 4;Montréal QC H3A 1H6|ul. Długa 12/4;00-238 Warszawa|
88 Wattle Grove;Wagga Wagga NSW 2650|P.O. Box 2214;Kalispell, MT 59901|5-2-1 Ginza;Chuo-ku, Tokyo 104-0061"""
HOSPITALS = """Mercy Ridge Medical Center|St. Brendan's Hospital|Klinikum Altenbruch|Lakeview Orthopedic Associates|Hôpital Sainte-Odile|
Veterans Affairs Medical Center in Poughkeepsie|Harbor Point Imaging|Oakdale Family Practice|Tri-County Urgent Care|Cedar Hollow Nursing Home"""
# Words that names may equal or be part of, besides those in the clinical sentences and templates below.
COMMON = """john jane doe smith patient anonymous removed redacted name date surrogate doctor physician radiologist january february march april may june july
august september october november december monday change chance channel chancre degrees singular single marina marinate king making linear lining linked alien
salient oriental orient stent consent current rings strings wings swing bulging wall walled hall shall small short long lung longitudinal stone bones boned
marked remarkable mark grand grant granted miles smiles rich enriched art artery start part partial will willing swill frank bill billing bile mobile
chase purchase park parked parkinson parka lean clean gain again rays reza yong young beyond lily oily hope hopeless joy pearl ruby page hand handed
charlotte bath reading orange mister london paris washington wellington taylor lancaster madrid hart heart nora normal diagonal ana anal sana
shape primary summary customary choice choir cosmetic cutaneous subcutaneous simultaneously drives arrives derives rescue interspersed copier pierce dangerous
dangling balance halves dialog boom gills della dell melorheostosis angelo refuse infusion gofer mariana thoma thomasi robertsonian"""

# Sentences without identifiers, which must survive.
CLINICAL = """
Small Baker cyst in the popliteal fossa.|Hill-Sachs deformity with a corresponding bony Bankart lesion.|Perthes lesion and a small Buford complex.|Lesion in Couinaud segment IVa measuring 2.3 x 1.9 cm.|
Bosniak IIF cyst in the left kidney, 18 mm.|Bosniak 2019 classification: class III.|Follow-up per Fleischner Society 2017 guidelines.|Charcot arthropathy of the midfoot.|Riedel lobe of the liver, an anatomic variant.|
Trace free fluid in Morison pouch.|Fluid in the pouch of Douglas is physiologic.|Meckel cave is symmetric.|No Meckel diverticulum identified.|Schmorl nodes at T11, T12 and L1.|Modic type 2 changes at L5-S1.|
Grade I anterolisthesis of L4 on L5 (Meyerding).|Tarlov cyst at S2.|Chiari I malformation with 7 mm tonsillar descent.|Dandy-Walker variant.|Arnold-Chiari malformation is excluded.|Virchow-Robin spaces are prominent.|
Rathke cleft cyst, 4 mm.|The circle of Willis is intact.|Sylvian fissure and Rolandic cortex are normal.|Heschl gyrus is preserved.|No acute territorial infarct; ASPECTS 10.|Fazekas grade 2 white matter disease.|
Wallerian degeneration of the left corticospinal tract.|Wernicke encephalopathy could have this appearance.|Creutzfeldt-Jakob disease is considered unlikely.|Sturge-Weber pattern of calcification.|Hunt and Hess grade 3, modified Fisher grade 4.|
Spetzler-Martin grade II arteriovenous malformation.|Kernohan notch is not present.|Hounsfield units of 42 in the cystic component.|Evans index 0.34.|Luschka and Magendie foramina are patent.|Fossa of Rosenmuller is effaced on the right.|
Stensen duct is dilated to 5 mm.|Wharton duct stone, 6 mm.|Hashimoto thyroiditis pattern.|Graves disease with diffuse hypervascularity.|TI-RADS 4 nodule, 1.6 cm; ACR TI-RADS 2017.|Zenker diverticulum.|Killian-Jamieson diverticulum on the left.|
Schatzki ring at the gastroesophageal junction.|Barrett esophagus is known.|Ann Arbor stage IIIA.|Hodgkin lymphoma, Deauville score 2.|Non-Hodgkin lymphoma in remission.|Burkitt lymphoma is in the differential.|Ewing sarcoma of the left femur.|
Paget disease of the right hemipelvis.|Wilson disease with hepatic nodularity.|Cushing syndrome from a 3.1 cm adrenal adenoma.|Conn adenoma, 12 HU unenhanced.|Addison disease in the history.|Crohn disease of the terminal ileum, 14 cm segment.|
Budd-Chiari syndrome cannot be excluded.|Mirizzi syndrome.|Caroli disease with intrahepatic dilatation.|Klatskin tumor, Bismuth-Corlette type IIIb.|Todani type I choledochal cyst.|Vater ampulla is unremarkable.|Hartmann pouch stone, 1.4 cm.|
Phrygian cap of the gallbladder.|Murphy sign negative.|Child-Pugh B cirrhosis, MELD 14.|LI-RADS v2018: LR-5 observation in segment VIII.|LR-TR nonviable after TACE.|Milan criteria are met.|Balthazar grade D, CTSI 6.|Ranson 3/11.|
Whipple procedure with patent anastomoses.|Billroth II anatomy.|Roux-en-Y gastric bypass; no Petersen hernia.|Spigelian hernia containing fat.|Richter hernia is not seen.|Bochdalek hernia, left, small.|Morgagni hernia is absent.|
Treitz ligament in normal position.|Ogilvie syndrome, cecum 10.5 cm.|Hinchey Ib diverticulitis.|Gerota fascia is thickened.|Column of Bertin mimics a mass.|Wilms tumor was treated with vincristine.|Bellini duct carcinoma is rare.|
Foley catheter balloon in the bladder.|Cowper glands not seen.|PI-RADS v2.1 category 4 lesion at the right midgland, 11 mm.|Gleason 3+4=7 in 5/12 cores.|Peyronie plaque, 9 mm.|Denonvilliers fascia is preserved.|Bartholin gland cyst.|
Nabothian cysts.|Mullerian duct anomaly, class Vb.|Asherman syndrome is possible.|Krukenberg tumor not excluded.|O-RADS 3 lesion, 5.2 cm.|FIGO stage IB2.|Retzius space is clear.|Cooper ligaments are thickened.|BI-RADS 4B, right breast, 10 o'clock, 6 cm FN.|
BI-RADS category 2: benign.|BI-RADS 0, incomplete.|Lung-RADS 4A, nodule 9 mm in the RUL.|Lung-RADS 2S with coronary calcification.|Hampton hump and Westermark sign.|Kerley B lines.|Swan-Ganz catheter tip in the main pulmonary artery.|
Pancoast tumor with rib erosion.|Stanford type B dissection, DeBakey IIIb.|Crawford extent II aneurysm, 6.1 cm.|Kommerell diverticulum, 22 mm.|Sinus of Valsalva 4.1 cm.|Fallot tetralogy after repair.|Eisenmenger physiology.|Ebstein anomaly.|
Fontan circulation is patent.|Glenn shunt is open.|Blalock-Taussig shunt occluded.|Agatston score 312, 82nd percentile.|CAD-RADS 3/P2.|Takotsubo pattern.|Libman-Sacks vegetations cannot be seen on CT.|Marfan syndrome, Z-score 3.2.|Takayasu arteritis.|
Loeys-Dietz syndrome.|May-Thurner configuration of the left iliac vein.|Nutcracker phenomenon, angle 22 degrees.|Paget-Schroetter syndrome.|Leriche syndrome.|Rutherford class 4.|Fontaine IIb.|Adamkiewicz artery arises at T9 on the left.|
Arc of Riolan is hypertrophied.|Salter-Harris II fracture of the distal radius.|Colles fracture, 15 degrees dorsal tilt.|Smith fracture is not present.|Barton fracture, volar.|Bennett fracture of the thumb base.|Rolando fracture.|Boxer fracture of the 5th metacarpal.|
Monteggia and Galeazzi patterns are excluded.|Essex-Lopresti injury.|Jones fracture of the fifth metatarsal.|Lisfranc interval 3 mm.|Chopart joint is congruent.|Maisonneuve fracture.|Weber B ankle fracture.|Pott fracture.|Pott disease of T9-T10.|
Bohler angle 18 degrees.|Gissane angle is preserved.|Achilles tendon is intact.|Kager fat pad is clear.|Hoffa fat pad edema.|Segond fracture with ACL tear.|Pellegrini-Stieda lesion.|Osgood-Schlatter disease.|Blount disease.|Legg-Calve-Perthes disease, Catterall III.|
Garden III femoral neck fracture.|Pauwels type 2.|Shenton line is intact.|Cobb angle 24 degrees from T5 to T12.|Risser 4.|Kellgren-Lawrence grade 3 at the medial compartment.|Outerbridge grade IV chondral loss.|Goutallier stage 2.|Bigliani type III acromion.|
Kienbock disease, Lichtman IIIA.|Heberden and Bouchard nodes.|Baastrup disease at L3/4 and L4/5.|Scheuermann kyphosis.|Bertolotti syndrome.|Luschka joint hypertrophy at C5/6.|Jefferson fracture of C1.|Hangman fracture of C2.|Chance fracture of L1.|
Harrington rods from T4 to L2.|Anderson-D'Alonzo type II.|Pfirrmann grade IV at L4-5.|Morton neuroma in the third web space.|Dupuytren contracture.|de Quervain tenosynovitis.|Guyon canal is clear.|Parsonage-Turner syndrome.|Young's modulus 9.8 kPa.|
Horner syndrome on the right.|Bell palsy with enhancement.|Foramen of Monro is patent.|Pick disease pattern.|Down syndrome.|Brown tumor in the mandible.|White matter lesions, number 12.|Gray-white differentiation is preserved.|Short axis 8 mm.|
Long head of the biceps is intact.|Head of the pancreas is normal.|Foot and hand are spared.|Bone island, 5 mm.|Stone in the distal ureter, 4 mm, 870 HU.|Cross-sectional area 12 mm2.|Rose thorn ulcers of the ileum.|Marked thinning of the wall.|
Small branch of the root.|Rice bodies in the bursa.|Fish vertebrae in osteoporosis.|Berry aneurysm of 3 mm.|Temple headache, right.|Power Doppler shows no flow.|Frank pus was drained.|Will reassess in 3 months.|Grade 2 sprain may heal slowly.|
T1-weighted and T2-weighted images were acquired.|TR 500 ms, TE 12 ms, TI 2200 ms.|TR/TE 4500/98, ETL 16, NEX 2.|3D time-of-flight MRA of the head.|b values 50, 400 and 800 s/mm2; ADC 0.9.|Slice thickness 1.25 mm, pitch 1.375:1.|CTDIvol 12.4 mGy, DLP 512 mGy*cm.|
120 kV, 250 mAs, rotation 0.5 s.|kVp 100, effective dose 3.2 mSv.|Fluoroscopy time 4.6 min, air kerma 112 mGy.|Series 5, image 112/340.|Image 45 of series 301.|Se/Im 4/87.|Series 1203, images 12-18.|See image 64 (series 7).|Window 1500, level -600.|
100 mL Omnipaque 350 IV at 3 mL/s.|Isovue-370, 75 mL.|Visipaque 320, 90 mL.|Gadavist 7.5 mL (0.1 mmol/kg).|Dotarem 15 mL.|Eovist 10 mL, hepatobiliary phase at 20 min.|MultiHance 14 mL was given.|Lumason 2.4 mL.|Delayed phase at 180 s.|
F-18 FDG 10.2 mCi (377 MBq), uptake time 62 min.|Glucose 104 mg/dL.|SUVmax 8.7, previously 11.2.|Ga-68 DOTATATE, 5.1 mCi.|Tc-99m MDP 25.4 mCi.|Lexiscan 0.4 mg/5 mL.|Tc-99m sestamibi 8.9/27.5 mCi.|I-131 therapy with 150 mCi.|Lu-177 PSMA, cycle 3/6.|
Glucagon 1 mg IM was given.|Midazolam 2 mg and fentanyl 100 mcg.|Heparin 5000 units.|Lidocaine 1%, 10 mL.|Kenalog 40 mg with 4 mL of bupivacaine 0.25%.|Metoprolol 50 mg, nitroglycerin 0.4 mg SL.|Adenosine 140 mcg/kg/min.|tPA 0.9 mg/kg.|Prednisone 50 mg at 13, 7 and 1 h.|
Creatinine 1.2 mg/dL, eGFR 58.|INR 1.1, platelets 245.|PSA 6.4 ng/mL.|D-dimer 1250 ng/mL.|Blood pressure 128/74, heart rate 64 bpm.|BMI 31.5 kg/m2.|Weight 82 kg, height 178 cm.|Hb 10.2, WBC 14.8.|CA 19-9 of 212 U/mL.|Troponin 0.04.|
45-year-old female with flank pain.|67 y/o M with cough.|A 3-week-old infant with vomiting.|89-year-old man after a fall.|7 yo boy, limping.|Age 62.|58F, abdominal pain for 3 days.|Gestational age 22w4d by LMP.|Bone age 11 years 6 months.|
TNM: cT2 N1 M0, stage IIB.|ypT3N2aM0, 5/12 nodes positive.|pT1c pN0(0/3) R0.|AJCC 8th edition, stage IIIA.|RECIST 1.1: partial response, -34%.|Sum of diameters 61 mm, nadir 44 mm.|Mets in 3/4 segments.|Grade 3/3 tumor.|Reflux grade 2/5.|
Strength 5/5 in all extremities.|Pain 7/10.|GCS 15/15.|Disc bulges at C3/4, C4/5 and C6-7.|L5-S1 facet joints are hypertrophic.|T12 compression fracture, 30% height loss.|Ribs 4-7 on the left, lateral.|S1-S3 neural foramina are open.|C2-T1 levels are covered.|
Nodule of 6 x 5 x 4 mm (mean 5 mm).|Mass 12.4 x 10.1 x 9.7 cm, 634 cc.|Volume 34.2 mL.|Cyst measures 1.1 cm, previously 0.9 cm.|Aorta 3.4 cm at the level of L3.|Ejection fraction 55-60%.|Stenosis 50-69% by NASCET.|PSV 245 cm/s, ICA/CCA ratio 3.8.|
Resistive index 0.72.|Portal vein flow 22 cm/s, hepatopetal.|ABI 0.82 right, 1.04 left.|RV/LV ratio 1.3.|FFR-CT 0.78.|E/A 0.8, E/e' 14.|CBF <30% volume 12 mL, Tmax >6 s volume 88 mL, mismatch ratio 7.3.|TAPSE 17 mm.|Calcium score by vessel: LM 0, LAD 104, LCX 12, RCA 196.|
Amplatzer septal occluder in place.|Gore Excluder endograft, type II endoleak.|Cook Zenith Flex bifurcated graft.|Medtronic Micra leadless pacemaker, MR conditional at 1.5 T.|St. Jude Medical mitral valve.|Edwards Sapien 3, 26 mm.|CoreValve Evolut R.|
Gunther Tulip filter, tilt 6 degrees.|Greenfield filter below the renal veins.|Denali filter retrieved.|Palmaz stent, 8 x 29 mm.|Watchman device, 24 mm.|Hickman catheter tip at the cavoatrial junction.|Dobhoff tube in the duodenum.|Jackson-Pratt drain.|
Blake drain, 19 Fr.|Port-A-Cath via the right jugular vein.|Bard PowerPort is accessed.|Boston Scientific Wallstent.|Penumbra coils, 6 mm x 20 cm.|Onyx 18 embolization.|Zimmer Biomet total knee.|Stryker Gamma nail.|DePuy Pinnacle cup, 52 mm.|
Cochlear Nucleus CI512.|Codman Hakim valve set at 120 mm H2O.|Siemens Magnetom Skyra 3T.|GE Revolution CT, 256 slice.|Philips Ingenia 1.5T.|Canon Aquilion ONE.|Hologic Selenia Dimensions tomosynthesis.|14-gauge Achieve needle, 5 passes.|8.5 Fr Dawson-Mueller pigtail.|
Seldinger technique was used.|Trendelenburg position.|Valsalva maneuver at 4 cm.|Allis sign negative.|Water's and Caldwell views.|Stryker notch and Grashey views.|Judet views.|Towne projection.|Merchant view.|Lachman test positive.|Phalen test negative.|
No significant interval change over 2 years.|Follow-up CT in 6-12 months.|Stable since 2019.|Status post cholecystectomy in 1998.|Recommend MRI within 4 weeks.|CPT 71260.|ICD-10 C34.11, R91.1.|SNOMED code 39607008.|RadLex RID1301.|Impression: 1. No acute findings. 2. Stable cyst.|
Hepatic steatosis, fat fraction 18%.|T2* 3.4 ms, LIC 9.2 mg/g.|Tamm-Horsfall protein casts.|Kaposi sarcoma history.|Langerhans cell histiocytosis.|Castleman disease, unicentric.|Wegener pattern of cavities.|Erdheim-Chester disease.|Rosai-Dorfman disease.|
Sjogren syndrome.|Raynaud phenomenon.|Still disease in adults.|Behcet disease.|Kawasaki disease, Z-score 5.|Ormond disease.|Gorham disease.|Ollier disease.|Maffucci syndrome.|Gaucher cells.|Sudeck atrophy.|Lhermitte-Duclos disease.|von Hippel-Lindau disease.|
von Meyenburg complexes in the liver.|Osler-Weber-Rendu disease.|Birt-Hogg-Dube syndrome.|Li-Fraumeni syndrome.|Lynch syndrome surveillance.|Cowden syndrome.|Gardner syndrome.|Peutz-Jeghers polyps.|Chilaiditi sign.|Rigler sign absent.|Naclerio V sign."""

# Templates of unseen identifiers: the code fills each {slot}, "¶" is a line break.
TEMPLATES = """
Dictated by: {md}|Dictated by: {md} on {date} at {time}.|DICTATED BY: {lastfirst}¶TRANSCRIBED BY: {tech}¶D: {ndate} T: {ndate} {stamp}|D: {ndate} T: {ndate} {stamp}|
D: {ndate} {time}¶T: {ndate} {time}¶Job #: {num}|{stamp} D: {ndate} T: {ndate}|DD: {ndate}  DT: {ndate}  Doc ID: {num}|Transcriptionist: {tech}|
Transcribed by {full} on {date}.|Electronically signed by: {md}¶Signed on: {ndate} {time}|Electronically signed by {lastfirst} ({login}) on {ndate} at {time}|
This report has been electronically signed by {md}, {date} {time} EST.|Finalized by {caret}^^Dr|
I, {md}, have personally reviewed the images and the resident's report and agree with the findings.|Attending: {md}¶Resident: {md}¶Pager: {pager}|
Interpreting radiologist: {dr}|Read by: {md} ({inits})|Preliminary read by {dr}, final read by {dr}.|Report authenticated by {md} NPI {npi}|
{md}¶Department of Radiology¶Tel. {phone}¶Fax {phone}|With kind regards,¶{dr}¶Consultant Radiologist, GMC {gmc}|
Mit freundlichen Grüßen¶Prof. Dr. med. {full}¶Oberarzt, Tel. {phone}|Findings were discussed with {dr} by telephone at {phone} on {date} at {time}.|
These results were called to {dr} at {time} on {ndate} and read back.|Critical result communicated to {nurse} in the emergency department at {time}.|
Dr. {last}'s office was notified by fax at {phone}.|Discussed with Drs. {last} and {last} at the tumor board on {date}.|
The case was reviewed with my colleague {full}, who concurs.|I spoke with {mr}, the patient's case manager, at {phone}.|
A message was left with {full}, PA-C, for {dr}.|Findings paged to {dr} (pager {pager}).|{dr} was informed of the finding by secure message to {mail}.|
Results were conveyed to the covering resident, {full}, at {time}.|Per {dr}, the lesion was first noted on {date}.|Reviewed at the request of {dr} from {hospital}.|
The needle was placed by {dr} with the assistance of {full}, RT(R)(CT).|Operator: {md}. Assistant: {full}, RN.|Performing technologist: {lastfirst}|
Technologist: {tech}|Tech: {tech}¶Contrast given by {nurse}.|Sonographer: {full}, RDMS|Informed consent was obtained from the patient's {relf}.|Referring: {md}|
Referring: {lastfirst}¶Copy to: {dr}, fax {phone}|REFERRING PHYSICIAN: {lastfirst}|Ordering provider: {lastfirst} MD [{login}]|Requested by {dr} ({hospital})|
cc: {dr}; {dr}|CC: {md}, {address}|PCP: {dr}, phone {phone}|Thank you for referring {mr} to our department.|
Dear {dr}, thank you for sending us this pleasant patient.|Seen by {dr} in clinic on {date}.|The patient is followed by {dr} of oncology.|
Surgeon {full} performed the resection in {monthyear}.|Status post repair by {dr} on {date}.|Patient: {lastfirst}¶MRN: {mrn}¶DOB: {dob}¶Acc#: {acc}|Patient: {full}|
PATIENT NAME: {lastfirst}   MRN: {mrn}   DATE OF BIRTH: {dob}|Pt. {lastfirst}, MRN {mrn}|Name: {full} DOB: {dob} Sex: F|Patient name: {caret}|RE: {full}, born {dob}|
Re: {mr}; hospital no. {mrn}|{mr} is a pleasant patient with known metastatic disease.|{mr} reports pain since a fall on {date}.|
{mr} tolerated the procedure well and was discharged.|The patient, {full}, was positioned supine.|The patient (née {last}) had an earlier study under that name.|
This study was filed under the name of {lastfirst} in error.|The images of {full} were mistakenly merged into this folder.|
Patient {full} (DOB {dob}) was identified by two identifiers.|The patient goes by "{given}".|The patient's {relf} was present and translated for the patient.|
History was obtained from {relf} and {relm}.|Her {relm} can be reached at {phone}.|Accompanied by {relm}. Emergency contact: {full}, {phone}.|
The patient's twin, {full}, has the same variant.|Kidney donor: {full}, MRN {mrn}.|Infant of {fullf}, born {date} at 34 weeks.|
Baby Boy {last}, twin A, chest and abdomen.|MRN {mrn}|MRN:{mrn} Acc:{acc}|Med. Rec. No. {mrn}|Medical record number is {mrn}.|Acc# {acc}|Accession No: {acc}|
Accession {acc} is compared.|Comparison: CT {acc} of {date}.|Order number {num}, visit number {num}.|Account # {num}|FIN: {num}  CSN: {num}|Encounter ID {num}|
SSN {ssn}|Social Security Number: {ssn}|NHS number {nhs}|NHS No: {nhs}, Hospital No: {mrn}|Medicare ID {medicare}|Insurance policy number {policy}, group {policy}|
Study Instance UID: {uid}|Outside study UID {uid} was imported.|Specimen {path} shows adenocarcinoma.|Pathology number {path}, reported on {date}.|
Trial subject ID {policy} was enrolled on {ndate}.|Pacemaker model A2DR01, serial number {serial}, implanted {date}.|Generator S/N {serial}; lead S/N {serial}.|
Device serial no. {serial}, lot {serial}|Hip implant LOT {serial}|COMPARISON: {ndate}|COMPARISON: Chest radiograph dated {date}.|
Comparison is made to the MRI of {date} and the CT of {date}.|Comparison: PET/CT {ndate}, {ndate} and {ndate}.|
Compared with {date}, the mass has grown from 2.1 to 3.4 cm.|Since {date} there is no new lesion.|Last menstrual period: {ndate}, about 22 weeks.|
Exam date: {ndate} {time}|DATE OF EXAM: {date}|Surgery on {date} with uneventful recovery.|The patient fell {monthday} and again {monthday}.|
Chemotherapy started in {monthyear}.|Follow-up was scheduled for {date}.|History: MVA {date}, now with neck pain.|The prior examination {from_to} is available.|
DOB {dob}|Date of birth: {dob}|The patient was born on {dob} in {town}.|Died on {date}; post-mortem CT.|{age} female with dyspnea.|{age} man, fall from standing.|
This {age} woman presents with confusion.|HISTORY: {age} M, hip fracture.|Patient aged {oldnum} years with dementia.|Age: {oldnum}  Sex: F|
The patient is {agewords} and lives alone.|Address: {address}|Home address: {address}, phone {phone}|The patient lives at {street} and cannot climb stairs.|
Patient resides in {town}.|Please mail a copy to {address}.|Transferred from {hospital} for further care.|Outside CT from {hospital} dated {date} was reviewed.|
Biopsy at {hospital} in {monthyear}.|Retired teacher from {town}, nonsmoker.|Please call {phone} with questions.|For questions call {dr} at {phone} or page {pager}.|
Phone: {phone}  Fax: {phone}|FAX {phone}|Cell {phone}, home {phone}|Ext. {pager}|Beeper {pager}|E-mail: {mail}|Please send prior images to {mail}.|
Contact {full} <{mail}>|Images are available at {url}|Report link: {url}|Uploaded from workstation {ip} by user {login}.|User: {login} {ndate} {time}|
Addendum by {dr} on {date}:|ADDENDUM {ndate} {time} {inits}: The findings were discussed with {dr}.|*** Addendum #1, {lastfirst}, {ndate} ***|Verified by {login}|
End of report, {full}|
Report called to {given} in the ICU at {time}.|Results given to {full}, NP, by telephone.|Interpreter: {full}, ID {num}|Chaperone: {full}|Scanned by {inits}|
Teleradiology read by {md} ({hospital}), callback {phone}|Biopsy by {dr} at {hospital} {monthday}.|Goals of care were discussed with her proxy, {full}.|Family ({relm}, {phone}) was called.|
Medical student {full} observed the procedure.|Film jacket {mrn}|Prior exam # {acc}|Driver's license {num}|Signed, {full}|Reviewed and approved: {lastfirst} {ndate}|The patient is {oldnum} years old.|
Scrub nurse: {full}. Anesthesia: {dr}.|GP: {dr}, {hospital}, {town}|Second identifier: DOB {dob}|Images sent to {dr} via {url}|{dr} agrees.|Attn: {dr}, fax {phone}|Case shown to visiting professor {full} of {hospital}.|
Wife's cell: {phone}|Prepared for {full}, attorney at law, {address}|Exam moved from {date} because {mr} was ill."""
# Short contexts of known identifiers.
NAME_CONTEXTS = """Patient: {}|Exam on {} is compared.|{} was seen today.|The study of {} shows no fracture.|Images for {} were reviewed.|Name: {}  Exam: MRI|
RE: {}|As discussed with {}, biopsy is advised.|{} tolerated the injection well.|I met with {} after the scan."""
LABEL_CONTEXTS = (
    "Patient: {}|Name: {}  Exam: MRI|RE: {}|PATIENT NAME: {}|{} CT abdomen|Wrong patient selected: {}|Filed under {}"
)
OWNER_CONTEXTS = "{} MRI was reviewed.|Comparison with {} earlier scan.|Per {} request.|{} office was called."
DOCTOR_CONTEXTS = """Referring physician: {}|Findings discussed with {} at 3:15 pm.|cc: {}|Requested by {} for staging.|Read by {}|Procedure performed by {}.|
{} was notified.|Attending: {}|Thank you, {}, for this referral.|Per {}, there is known cirrhosis."""
DOCTOR_LABELS = "Referring physician: {}|cc: {}|Read by {}|Attending: {}|Performed by: {}|Ordering: {}"
ID_CONTEXTS = """MRN: {}|MRN {}|Patient ID {} was verified.|(ID: {})|Pt #{}|Chart no. {} is attached.|Label on the film reads {}.|PACS entry {} was merged."""
ACC_CONTEXTS = """Acc#: {}|Accession number {}|Compared with {}.|Exam {} is incomplete.|See accession {} for the head CT.|Order/Acc {}"""
DATE_CONTEXTS = "Exam date: {}|Study performed on {}.|CT of {} shows progression.|Compared to {}, stable.|{}: chest radiograph.|Seen {} in clinic."
BIRTH_CONTEXTS = "DOB: {}|Born {}.|Date of birth {}|(b. {})|Patient born on {} at term."
# Words of dates.
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
FOREIGN = {
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}
ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = [
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
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
]
# Shapes of unseen numbers, by slot: the kind and the shapes (# a digit, ~ a digit but 0, @ a capital letter).
NUMBERS = {
    "mrn": ("id", "~######|00######|~##-##-##|H00######|@#######|~## ### ###|MR-######"),
    "acc": ("accession", "A########|1#-00#####|~#######|RAD1#######|CT1#-#####|@@-2023-00####"),
    "num": ("id", "~########|3000######|V########|00~#######"),
    "ssn": ("ssn", "5##-~#-####|2## ~# ####|4##~#####"),
    "npi": ("id", "1#########"),
    "gmc": ("id", "7######"),
    "medicare": ("id", "1@@~-@@#-@@##|1@#~@@#@@##"),
    "policy": ("id", "@@@#########|W#########|00#-~#####|@@-1##-0###"),
    "path": ("id", "S1#-#####|SP-0#-0####|@1#-####"),
    "serial": ("serial", "PJN######S|@@@######|##~######|RNH######@"),
    "pager": ("telephone", "~##-01##|~####|555-01##"),
    "nhs": ("nhs", "999 ### ####|999-###-####|999#######"),
    "uid": (
        "uid",
        "1.2.840.113619.2.~~.~##########.~#.~########|1.3.12.2.1107.5.2.~#.~####.20#########|2.25.~###################",
    ),
}
