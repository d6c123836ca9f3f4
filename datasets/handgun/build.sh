#!/usr/bin/env bash
# From the data to the bundled handgun cascade. Run from the root of the repository: `make models`.
#
#   FORENSICS_DATA  folder of the data that datasets/handgun/README.md describes
#   MODELS          folder with handgun-baseline/, the weights that training starts from and the first classifier
#   WORK            where everything is written (default: build/handgun)
#   VERSION         of the new cascade (default: 1.2.0)
#
# Every step goes on where it was stopped; a step whose result is there is left out, but for training,
# which looks itself. FORENSICS_DATA must not be changed between the steps.
set -euo pipefail

: "${FORENSICS_DATA:?set FORENSICS_DATA to the folder of the data}"
: "${MODELS:?set MODELS to the folder of the starting weights}"
WORK=${WORK:-build/handgun}
VERSION=${VERSION:-1.2.0}
HERE=datasets/handgun
ORDINARY=$FORENSICS_DATA/footage/ordinary
SPANS=$FORENSICS_DATA/footage/truth/spans.csv
PICTURES=$WORK/detector/data
mkdir -p "$WORK"

# 1. Detector, from the baseline's weights: whole photographs first, then small guns. What is shipped is the
# mean of three points on that way: better on validation pictures, whole and shrunk, than any of them.
forensics train detector "$HERE/detector.toml" --data-root "$FORENSICS_DATA" \
  --weights "$MODELS/handgun-baseline/detector.pt" --out "$WORK/detector-whole"
forensics train detector "$HERE/detector-small.toml" --data-root "$FORENSICS_DATA" \
  --weights "$WORK/detector-whole/weights/best.pt" --out "$WORK/detector"
DETECTOR=$WORK/detector.pt
[ -f "$DETECTOR" ] || forensics train average "$WORK/detector-whole/weights/best.pt" \
  "$WORK"/detector/weights/{best,last}.pt --out "$DETECTOR"

# 2. The teacher: this detector with the classifier of the starting weights, which looks at crops of 224 pixels.
START=$WORK/start
mkdir -p "$START"
cp "$MODELS"/handgun-baseline/{detector,classifier}.onnx "$START"
cp "$HERE/baseline.toml" "$START/cascade.toml"
if [ ! -d "$WORK/teacher" ]; then
  forensics export --detector "$DETECTOR" --base "$START" --no-int8 --calibration "$PICTURES/images/val" \
    --name handgun-teacher --version "$VERSION" --out "$WORK/teacher"
fi

# 3. Crops: of the detector's own pictures, whose validation pictures validate here too; knives, phones and
# other objects; of clips that it was trained on. What nearly equals a validation crop of another folder is left
# out by step 4.
[ -d "$WORK/crops-own" ] ||
  forensics mine "$PICTURES/images/val" "$PICTURES"/images/train/*-{whole,footage,paste}.jpg \
    --camera file --truth "$PICTURES" --val 'val/*' \
    --truth-crops --max-per-source 4 --max-false-alarms-per-source 3 \
    --cascade "$WORK/teacher" --out "$WORK/crops-own"
[ -d "$WORK/crops-pistols" ] ||
  forensics mine "$FORENSICS_DATA/pistols/images" --camera file --truth "$FORENSICS_DATA/pistols" \
    --class-map 0=gun --class-map 1=knife --class-map 2=gun \
    --confuser knife --truth-crops --max-per-source 1 \
    --cascade "$WORK/teacher" --out "$WORK/crops-pistols"
[ -d "$WORK/crops-handheld" ] ||
  forensics mine "$FORENSICS_DATA/handheld/train/images" --camera file \
    --truth "$FORENSICS_DATA/handheld/train" --class-map phone=cell_phone --class-map airpods=other \
    --class-map wallet=other --confuser cell_phone --truth-crops --max-per-source 2 \
    --cascade "$WORK/teacher" --out "$WORK/crops-handheld"
maps=(--class-map 67=cell_phone --class-map 25=umbrella)
for n in 24 26 28; do maps+=(--class-map "$n=bag"); done
for n in $(seq 0 79); do
  case $n in 24 | 25 | 26 | 28 | 67) ;; *) maps+=(--class-map "$n=other") ;; esac
done
[ -d "$WORK/crops-coco" ] ||
  forensics mine "$FORENSICS_DATA/coco128/images/train2017" --camera file \
    --truth "$FORENSICS_DATA/coco128" "${maps[@]}" --confuser cell_phone --confuser umbrella \
    --confuser bag --truth-crops \
    --cascade "$WORK/teacher" --out "$WORK/crops-coco"
[ -d "$WORK/crops-objects" ] ||
  forensics mine "$FORENSICS_DATA/caltech101" --recursive --label-from-folder \
    --class-map revolver=gun --class-map cellphone=cell_phone --class-map umbrella=umbrella \
    --class-map '*=other' --confuser cell_phone --confuser umbrella \
    --cascade "$WORK/teacher" --out "$WORK/crops-objects"
[ -d "$WORK/crops-ordinary" ] ||
  forensics mine "$ORDINARY"/nofi??[124679].mp4 "$ORDINARY"/{car-detection,one-by-one-person-detection}.mp4 \
    --camera file --truth "$SPANS" --time-sample 0.12 --max-false-alarms-per-source 60 --val-share 0 \
    --cascade "$WORK/teacher" --out "$WORK/crops-ordinary"

[ -d "$WORK/crops-cup" ] ||
  forensics mine "$ORDINARY/cup.mp4" --camera file --truth "$SPANS" --max-false-alarms-per-source 300 \
    --val-share 0 --cascade "$WORK/teacher" --out "$WORK/crops-cup"

# 4. The classifier: a student that begins as its teacher and learns to say the same of what it sees with a third of
# the pixels: the box alone, without a margin, at 120 pixels. Without the margin the box keeps three quarters of the
# teacher's resolution; with it, at 112 pixels, half, and students of that kind were worse. Learning from the labels
# instead (1.0.0) was worse too. Grey, because the source of a picture shows in its colours: the CCTV pictures with
# guns are grey, the clips without are not. Without the crops of the cup, students took it for a gun.
forensics train classifier "$WORK"/crops-{own,pistols,handheld,coco,objects,ordinary,cup} \
  --teacher "$WORK/teacher" --weights teacher --imgsz 120 --padding 1 --colour grey --class-map knife=other \
  --freeze-epochs 0 --epochs 3 --patience 9 --batch 64 --lr 0.0003 --average 0.996 --balance 0.5 \
  --precision fp32 --seed 1 --out "$WORK/classifier"

# 5. The cascade: FP32 and INT8, parity on pictures that the detector was not trained on, card.
if [ ! -d "$WORK/exported" ]; then
  forensics export --detector "$DETECTOR" --classifier "$WORK/classifier" \
    --calibration "$PICTURES/images/train" --frames 160 \
    --validation "$PICTURES/images/val" --truth "$PICTURES" \
    --card-data "$HERE/sources.toml" --failures "$HERE/failures.md" \
    --description "Handguns: YOLO11n at 640 px, then EfficientNet-Lite0 on grey crops." \
    --name handgun --version "$VERSION" --out "$WORK/exported"
fi

# 6. Its operating point: the best recall under 20,000 false-alarm frames per million on pictures and clips
# that neither network was trained on, and that no figure of the card is taken from.
if [ ! -d "$WORK/handgun" ]; then
  forensics scan "$PICTURES/images/val" "$ORDINARY"/nofi??[05].mp4 --camera file \
    --cascade "$WORK/exported" --out "$WORK/run-choose"
  forensics threshold "$WORK/run-choose" --truth "$PICTURES" --truth "$SPANS" \
    --max-false-alarms 20000/million-frames --no-guarantee --calibration-share 0.9 \
    --cascade "$WORK/exported" --out "$WORK/handgun"
fi

# 7. The card's figures, on pictures and footage that nothing above has seen: recall by height at 640, 1280 and
# tiled, beside the baseline's; detector alone against cascade.
if [ ! -d "$WORK/baseline" ]; then
  forensics export --detector "$MODELS/handgun-baseline/detector.pt" --base "$START" --no-int8 \
    --calibration "$PICTURES/images/val" --name handgun-baseline --version 0.1.0 --out "$WORK/baseline"
fi
measure() { # NAME CASCADE PRECISION MODE...
  [ -f "$WORK/$1.json" ] || python "$HERE/measure.py" "$2" --precision "$3" --modes "${@:4}" \
    --work "$WORK/measured-$1" --out "$WORK/$1.json"
}
FOOTAGE=$FORENSICS_DATA/footage
mapfile -t photographs < <(sed "s#^#$FORENSICS_DATA/#" "$FORENSICS_DATA/validation-dedup.txt")
clips=("$ORDINARY"/nofi??[38].mp4 "$ORDINARY"/{bottle-detection,box}.mp4 "$FOOTAGE"/labelled/{pets09-s2l1.avi,tud-campus.mp4}
  "$FOOTAGE"/odd/{issue53_brightness_change.avi,traffic_camera.mp4})
# compare NAME PATH...: scan (exit 3: box.mp4 is damaged, and scanned in part) and judge.
compare() {
  [ ! -f "$WORK/$1.json" ] || return 0
  forensics scan "${@:2}" --camera file --cascade "$WORK/handgun" --floor 0.02 --out "$WORK/run-$1" || [ $? = 3 ]
  forensics evaluate "$WORK/run-$1" --truth "$FORENSICS_DATA/cctv-weapons/valid" \
    --truth "$FORENSICS_DATA/cctv-weapons/test" --truth "$SPANS" --class-map 1=gun --class-map 0= \
    --format json --out "$WORK/$1.json"
}
compare held-out "${photographs[@]}" "${clips[@]}"
python "$HERE/confusion.py" "$WORK/run-held-out" --truth "$FORENSICS_DATA/cctv-weapons/valid" \
  --truth "$FORENSICS_DATA/cctv-weapons/test" --truth "$SPANS" --class-map 1=gun --class-map 0= \
  --out "$WORK/confusion.json"
compare gun-footage "$FOOTAGE"/gun/{shop-counter,nofi011}.mp4 "${clips[@]}"
measure fp32 "$WORK/handgun" fp32 640
measure int8 "$WORK/handgun" int8 640 1280 2x2
measure baseline "$WORK/baseline" fp32 640 1280 2x2
python "$HERE/card.py" "$WORK/handgun" --detector "$WORK/fp32.json" --baseline "$WORK/baseline.json" \
  --int8 "$WORK/int8.json" --confusion "$WORK/confusion.json" --comparison "$WORK/held-out.json" \
  --gun-footage "$WORK/gun-footage.json" --failures "$HERE/failures.md"
echo "the cascade is in $WORK/handgun"
