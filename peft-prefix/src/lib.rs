//! Prefix tuning with MLP reparameterisation (Li & Liang 2021) on Burn
