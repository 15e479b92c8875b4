//! Prompt tuning (Lester et al. 2021) on Burn
