#!/usr/bin/env bash
# From the data to the bundled handgun cascade. Run from the root of the repository: `make models`.
#
#   FORENSICS_DATA  folder of the data that datasets/handgun/README.md describes
#   MODELS          folder with handgun-baseline/detector.pt, the weights that training starts from
#   WORK            where everything is written (default: build/handgun)
#   VERSION         of the new cascade (default: 0.2.0)
#   NEW_CLASSIFIER  1: mine crops and train the second network too (steps 2 to 4). The bundled 0.2.0 was
#                   made without: it keeps the classifier of 0.1.0.
#
# Every step goes on where it was stopped; a step whose result is there is left out, but for training,
# which looks itself. FORENSICS_DATA must not be changed between the steps.
set -euo pipefail

: "${FORENSICS_DATA:?set FORENSICS_DATA to the folder of the data}"
: "${MODELS:?set MODELS to the folder of the starting weights}"
WORK=${WORK:-build/handgun}
VERSION=${VERSION:-0.2.0}
NEW_CLASSIFIER=${NEW_CLASSIFIER:-0}
HERE=datasets/handgun
mkdir -p "$WORK"

# take FOLDER: copy the pictures that standard input lists (paths below the data) and their labels.
take() {
  [ ! -d "$1" ] || return 0
  rm -rf "$1.new"
  mkdir -p "$1.new/images" "$1.new/labels"
  while IFS= read -r picture; do
    labels=${picture/\/images\//\/labels\/}
    cp "$FORENSICS_DATA/$picture" "$1.new/images/"
    cp "$FORENSICS_DATA/${labels%.*}.txt" "$1.new/labels/"
  done
  mv "$1.new" "$1"
}

# 1. Detector, from the baseline's weights.
forensics train detector "$HERE/detector.toml" --data-root "$FORENSICS_DATA" \
  --weights "$MODELS/handgun-baseline/detector.pt" --out "$WORK/detector"

if [ "$NEW_CLASSIFIER" = 1 ]; then
# For mining: the same choice as in detector.toml, in folders: pictures whose names do not tell of
# knives, and the clips that are not held out.
(cd "$FORENSICS_DATA" && find cctv-weapons/train/images -name '*.jpg' \
  ! -name '*[Kk]nife*' ! -name '*KravMaga*' | LC_ALL=C sort) | take "$WORK/weapons"
if [ ! -d "$WORK/clips" ]; then
  rm -rf "$WORK/clips.new"
  mkdir -p "$WORK/clips.new"
  find "$FORENSICS_DATA/footage/ordinary" -name '*.mp4' ! -name 'nofi??[0358].*' ! -name 'cup.*' \
    ! -name 'bottle-detection.*' ! -name 'box.*' -exec cp {} "$WORK/clips.new/" \;
  mv "$WORK/clips.new" "$WORK/clips"
fi

# 2. A cascade of the new detector and the classifier so far, to mine with. Nothing is judged with it.
if [ ! -d "$WORK/mining" ]; then
  forensics export --detector "$WORK/detector/weights/best.pt" --base handgun --no-int8 \
    --calibration "$WORK/clips" \
    --name handgun-mining --version "$VERSION" --out "$WORK/mining"
fi

# 3. Crops: targets and false alarms of labelled pictures; false alarms of footage without guns; objects.
# The held-out clips are those that detector.toml leaves out.
if [ ! -d "$WORK/crops-weapons" ]; then
  forensics mine "$WORK/weapons/images" --cascade "$WORK/mining" --camera file \
    --truth "$WORK/weapons/labels" --class-map 1=gun --class-map 0= \
    --truth-crops --out "$WORK/crops-weapons"
fi
if [ ! -d "$WORK/crops-pistols" ]; then
  forensics mine "$FORENSICS_DATA/pistols/images" --cascade "$WORK/mining" --camera file \
    --truth "$FORENSICS_DATA/pistols/labels" --class-map 0=gun --class-map 2=gun --class-map 1=knife \
    --confuser knife --truth-crops --out "$WORK/crops-pistols"
fi
if [ ! -d "$WORK/crops-handheld" ]; then
  forensics mine "$FORENSICS_DATA/handheld/train/images" --cascade "$WORK/mining" --camera file \
    --truth "$FORENSICS_DATA/handheld/train/labels" --class-map 1=cell_phone --class-map 0= \
    --class-map 2= --confuser cell_phone --truth-crops --out "$WORK/crops-handheld"
fi
if [ ! -d "$WORK/crops-footage" ]; then
  forensics mine "$FORENSICS_DATA/footage/ordinary" --cascade "$WORK/mining" --camera file \
    --truth "$FORENSICS_DATA/footage/truth/spans.csv" --time-sample 0.5 \
    --val 'nofi??[0358].*' --val 'cup.*' --val 'bottle-detection.*' --val 'box.*' \
    --out "$WORK/crops-footage"
fi
if [ ! -d "$WORK/crops-objects" ]; then
  forensics mine "$FORENSICS_DATA/caltech101" --recursive --label-from-folder --cascade "$WORK/mining" \
    --class-map revolver=gun --class-map cellphone=cell_phone --class-map umbrella=umbrella \
    --class-map '*=other' --confuser cell_phone --confuser umbrella --out "$WORK/crops-objects"
fi

# 4. Classifier.
forensics train classifier "$WORK"/crops-{weapons,pistols,handheld,footage,objects} \
  --out "$WORK/classifier"
fi

# 5. The cascade: FP32 and INT8, parity on pictures that the detector was not trained on, card. The
# validation list is for figures alone: datasets/handgun/measure.py.
CLASSIFIER=handgun
[ "$NEW_CLASSIFIER" != 1 ] || CLASSIFIER=$WORK/classifier
if [ ! -d "$WORK/handgun" ]; then
  forensics export --detector "$WORK/detector/weights/best.pt" --classifier "$CLASSIFIER" \
    --calibration "$WORK/detector/data/images/train" --frames 160 \
    --validation "$WORK/detector/data/images/val" --truth "$WORK/detector/data" \
    --card-data "$HERE/sources.toml" --failures "$HERE/failures.md" \
    --description "Handguns: YOLO11n at 640 px, then EfficientNet-Lite0 on grey crops." \
    --operating-point 0.25 0.5 --chosen "round numbers, not tuned on any data; no guarantee" \
    --name handgun --version "$VERSION" --out "$WORK/handgun"
fi
