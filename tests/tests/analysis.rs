//! What `peft inspect --analyse` and `peft similarity` find, beside transformers, numpy and what is known of a prompt.

mod attention;
mod prompts;
mod similarity;
