#!/bin/sh
# Trains S, B and L one after the other from the weights in assets/, and installs each that got better.
#
#   PYTHON=venv/bin/python WORK=work nice -n 19 setsid nohup tools/train_queue.sh >queue.log 2>&1 &
#
# The seconds per model are S_SECONDS, B_SECONDS, L_SECONDS. Safe to stop at any time: kill the process group.
cd "$(dirname "$0")/.." || exit 1
: "${PYTHON:=python3}" "${WORK:=work}" "${S_SECONDS:=600}" "${B_SECONDS:=1500}" "${L_SECONDS:=3300}"
mkdir -p "$WORK"

train() {  # model seconds learning-rate
  "$PYTHON" tools/train_demo_family.py --model "$1" --init "assets/fashion-$1.safetensors" --seconds "$2" --lr "$3" \
    --warm-up 100 --out "$WORK/fashion-$1.safetensors" >"$WORK/train-$1.log" 2>&1
  "$PYTHON" tools/install_if_better.py "$WORK/fashion-$1.safetensors" "assets/fashion-$1.safetensors"
}

date
train s "$S_SECONDS" 1e-3
train b "$B_SECONDS" 7e-4
train l "$L_SECONDS" 5e-4
date
echo done
