#!/bin/sh
# Trains the words family from nothing to exported weights; what is done already is not done again, be it in WORK or in
# assets/words (the autoencoder). With START=../../assets/words the U-Nets go on from the weights there, with a new
# optimiser: its state stays on the machine that has WORK.
#
#   export PYTHON=~/tstitch-venv/bin/python WORK=~/words
#   setsid nohup nice -n 19 taskset -c 1 tools/demo_family/run.sh >>words.log 2>&1 &
#
# Safe to stop at any time, also by kill -9 of the process group: the same command goes on from the last checkpoint.
cd "$(dirname "$0")" || exit 1
# Linux gives every session a share of its own (setsid makes one), in which nice only orders its own processes.
[ ! -w /proc/self/autogroup ] || echo 19 >/proc/self/autogroup
: "${PYTHON:=python3}" "${WORK:=$HOME/words}" "${PICTURES:=2000000}" "${DEVICE:=cpu}" "${OMP_NUM_THREADS:=1}" "${START:=}"
export OMP_NUM_THREADS

mkdir -p "$WORK"
exec 9>"$WORK/lock"
flock -n 9 || { echo "already running in $WORK"; exit 1; }
date
[ -e "$WORK/held_out.json" ] || "$PYTHON" data.py --out "$WORK" || exit 1
shipped=../../assets/words/words-l/vae
[ -d "$WORK/autoencoder" ] || [ ! -d "$shipped" ] || cp -r "$shipped" "$WORK/autoencoder"
[ -d "$WORK/autoencoder" ] || "$PYTHON" train_autoencoder.py --work "$WORK" --device "$DEVICE" || exit 1
[ -n "$START" ] || "$PYTHON" train_text.py --work "$WORK" --device "$DEVICE" || exit 1
for model in l s; do
  "$PYTHON" train_words.py --model "$model" --work "$WORK" --pictures "$PICTURES" --device "$DEVICE" \
    ${START:+--start "$START/words-$model" --peak-rate 5e-4} || exit 1
done
[ -d "$WORK/decoder" ] || "$PYTHON" train_decoder.py --work "$WORK" --device "$DEVICE" || exit 1
"$PYTHON" export.py --model l --work "$WORK" --out "$WORK/export/words-l" || exit 1
"$PYTHON" export.py --model s --work "$WORK" --out "$WORK/export/words-s" --shared ../words-l || exit 1
date
echo done
