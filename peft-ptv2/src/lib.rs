//! P-tuning v2 deep prompts (Liu et al. 2021) on Burn
