//! Several adapters that vote on rows, scored alone and together (Lester et al. 2021, section 6).
//!
//! | file | contents |
//! |---|---|
//! | [`score`] | members and votes on rows with targets |
//! | [`heads`] | members whose heads give probabilities |
//! | [`texts`] | members that write classes as texts, or rank them |
//! | [`table`] | the scores of members, their mean and best, and of votes |
//! | [`train`] | members that differ by their seed, trained in one run |
//! | `checks` | settings and members that make no ensemble |

mod checks;
pub mod heads;
pub mod score;
pub mod table;
pub mod texts;
pub mod train;
