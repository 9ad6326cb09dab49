"""Replaces a shipped demo model by a candidate if the candidate's held-out loss is lower.

    python3 tools/train/install_if_better.py work/fashion-l.safetensors assets/fashion-l.safetensors
"""
import os
import shutil
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
from demo_files import load_model
from held_out import eps_mse

if __name__ == "__main__":
    candidate, shipped = sys.argv[1:]
    if not os.path.exists(candidate):
        sys.exit(f"{candidate}: not there, so no checkpoint was better than its start; {shipped} stays")
    new, old = (eps_mse(load_model(path)) for path in (candidate, shipped))
    print(f"held-out eps MSE: {candidate} {new:.6f}, {shipped} {old:.6f}; {'installed' if new < old else 'kept the old one'}")
    if new < old:
        partial = shipped + ".partial"
        shutil.copyfile(candidate, partial)
        os.replace(partial, shipped)  # readers see the old file or the new one, never half
