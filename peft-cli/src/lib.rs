//! The peft program: train, evaluate and use prompt, prefix and P-tuning v2 adapters
