//! Sums of the rows of a run, which tell other rows, or other token ids.

use peft_core::{adapter::codec::sha256, data::Example, train::sum_of_rows};

use super::PreparedRun;

/// The sums of a run's training rows, unless its seed draws them, and of its validation rows.
pub fn row_sums(run: &PreparedRun) -> [Option<String>; 2] {
    let [train, valid] = all_row_sums(run);
    [train.filter(|_| run.settings.train_rows.is_none()), valid]
}

/// The sums of a run's training rows, of those that its seed draws, too, and of its validation rows.
pub fn all_row_sums(run: &PreparedRun) -> [Option<String>; 2] {
    let (train, valid): (Vec<&[Example]>, Vec<&[Example]>) =
        run.data().into_iter().map(|data| (data.train, data.valid)).unzip();
    [Some(sum_of_all(train)), Some(sum_of_all(valid))]
}

/// One sum for the rows of several tasks; that of the rows where there is one.
pub fn sum_of_all(rows: Vec<&[Example]>) -> String {
    let sums: Vec<String> = rows.into_iter().map(sum_of_rows).collect();
    match sums.as_slice() {
        [one] => one.clone(),
        all => sha256(all.join("\n").as_bytes()),
    }
}
