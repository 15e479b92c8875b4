//! What methods and models agree on. Neither side knows the other: they meet here.
//!
//! | file | what it is |
//! |---|---|
//! | [`spec`] | the geometry of a model: what a method must know of it |
//! | [`task`] | what an adapter is trained for |
//! | [`problem_type`] | what the outputs of a classifier of rows mean |
//! | [`batch`] | rows of token ids, padded |
//! | [`mask`] | which entries of rows are real |
//! | [`block`] | where examples are in packed rows |
//! | [`virtual_tokens`] | what a method contributes to one forward pass |
//! | [`layout`] | how keys and values lie flat in PEFT's one tensor |
//! | [`visibility`] | where entries stand, and who may attend to whom |
//! | [`token_cache`] | the K/V cache of real tokens |
//! | [`cross_input`] | what the decoder of an encoder-decoder attends to |
//! | [`cache`] | what generation continues from |
//! | [`attention_probe`] | how much real tokens attend to virtual tokens |
//! | [`layer_tape`] | layers that run again in the backward pass |
//! | [`stack`] | input and output of one pass through a stack of layers |
//! | [`frozen`] | the model's side, with everything that is the same for all models |
//! | [`lanes`] | slices of a batch, computed side by side |
//! | [`context_budget`] | whether rows fit beside the virtual tokens |
//! | [`length_multiple`] | the few lengths of batches, where a device tunes its kernels to each |
//! | [`method`](mod@method) | the method's side |
//! | [`method_fields`], [`peft_type`] | how a method describes itself in an adapter's config |
//! | [`head`] | the task head that is trained beside the virtual tokens |
//! | [`pooling`] | which position stands for a whole row |
//! | [`loss`] | cross entropy, binary cross entropy, squared error |
//! | [`params`], [`mod@init`], [`rng`] | parameters as a flat list; initial values; random streams |
//! | [`readback`] | values read from a device, together, and how often |
//! | [`tensors`] | tensors by name, and selections of their rows |

pub mod attention_probe;
pub mod batch;
pub mod block;
pub mod cache;
pub mod context_budget;
pub mod cross_input;
pub mod frozen;
pub mod head;
pub mod init;
pub mod lanes;
pub mod layer_tape;
pub mod layout;
pub mod length_multiple;
pub mod loss;
pub mod mask;
pub mod method;
pub mod method_fields;
pub mod params;
pub mod peft_type;
pub mod pooling;
pub mod problem_type;
pub mod readback;
pub mod rng;
pub mod spec;
pub mod stack;
pub mod task;
pub mod tensors;
pub mod token_cache;
pub mod virtual_tokens;
pub mod visibility;
