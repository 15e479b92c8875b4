//! Which part of how many.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::block::Block;

/// A part of some work: each machine or process makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// Which one, from 1 on.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// The rows of this part, of `total`. The parts are blocks in the order of the rows, whose sizes differ by one at most.
    pub fn block(self, total: usize) -> Block {
        // Below `total`, since `part` is at most `of`.
        let start = |part: usize| (part as u128 * total as u128 / self.of as u128) as usize;
        Block { rows: start(self.index - 1)..start(self.index), total }
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if 1 <= index && index <= of => Ok(Self { index, of }),
            _ => Err(format!("found `{text}`, expected i/n with i from 1 to n, such as 2/3")),
        }
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_is_written_as_a_fraction() {
        let shard: Shard = "2/3".parse().unwrap();
        assert_eq!((shard, shard.to_string()), (Shard { index: 2, of: 3 }, "2/3".to_string()));
        for text in ["0/2", "3/2", "1", "a/b", "1/0", "", "1/2/3", "-1/2", "1.5/2", " 1/2"] {
            let refused = text.parse::<Shard>().unwrap_err();
            assert!(refused.contains("such as 2/3"), "{refused}");
        }
    }

    #[test]
    fn more_parts_than_rows_leave_some_empty() {
        let rows = |index| Shard { index, of: 5 }.block(2).rows;
        assert_eq!((1..=5).map(|index| rows(index).len()).sum::<usize>(), 2);
        assert!((1..=5).all(|index| Shard { index, of: 5 }.block(0).rows.is_empty()));
        let most = Shard { index: usize::MAX, of: usize::MAX }.block(usize::MAX);
        assert_eq!(most.rows, usize::MAX - 1..usize::MAX);
    }

    proptest! {
        /// One behind the other, the parts are all rows in their order.
        #[test]
        fn parts_are_all_rows_in_order(total in 0_usize..400, of in 1_usize..40) {
            let blocks: Vec<Block> = (1..=of).map(|index| Shard { index, of }.block(total)).collect();
            let all: Vec<usize> = blocks.iter().flat_map(|block| block.rows.clone()).collect();
            prop_assert_eq!(all, (0..total).collect::<Vec<_>>());
            let sizes = || blocks.iter().map(|block| block.rows.len());
            prop_assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
            prop_assert!(blocks.iter().all(|block| block.total == total));
        }
    }
}
