//! What the virtual tokens of adapters are: beside the vocabulary, beside their start, beside one another.
//!
//! | file | contents |
//! |---|---|
//! | [`adapter`] | all of it, of one adapter |
//! | [`vocabulary`] | the embedding table: nearest tokens, how tight they are, norms |
//! | [`neighbours`] | the neighbours of a prompt, and those of random vectors |
//! | [`class_words`] | the tokens that spell the names of classes |
//! | [`summary`] | the mean and the extremes of some numbers |
//! | [`layers`] | keys and values, layer by layer |
//! | [`start`] | what a run started from |
//! | [`drift`] | how far virtual tokens are from there |
//! | [`attention`] | how much real tokens attend to virtual ones |
//! | [`report`] | all of it as tables |
//! | [`similarity`] | how alike adapters are, pair by pair |
//! | [`measures`] | the measures of that |
//! | [`heat_map`] | a picture of it |

pub mod adapter;
pub mod attention;
pub mod class_words;
pub mod drift;
pub mod heat_map;
pub mod layers;
pub mod measures;
pub mod neighbours;
pub mod report;
pub mod similarity;
pub mod start;
pub mod summary;
pub mod vocabulary;
