//! BERT, GPT-2 and the Llama family as frozen bases for virtual tokens, on Burn
