//! The product of one row with a matrix whose columns are stored one after another, as PyTorch's weights are: dot products
//! of slices of memory, since laying out a panel would cost more than using it a few times.

use std::mem::MaybeUninit;

use super::simd::{mul_add, vectorised};

/// Columns at a time: each value of the row is read once for all of them.
const COLUMNS: usize = 3;
/// Sums of a dot product, which are added up at the end.
const LANES: usize = 16;

/// Where dot products go, one for each column.
pub(super) enum Sums<'a> {
    /// They are written.
    Written(&'a mut [MaybeUninit<f32>]),
    /// They are added to what is there.
    Added(&'a mut [f32]),
}

/// Tells the machine that a value will be read soon: columns are too short for it to find out itself.
#[inline(always)]
fn prefetch(value: &f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every machine has this instruction, and it changes nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

vectorised! {
    /// `to[j] = row · column j`, or `+=`. Columns are `stride` elements apart.
    ///
    /// # Panics
    ///
    /// Panics if a column is not inside its slice.
    pub(super) fn dot_products<FMA>(
        row: &[f32],
        columns: &[f32],
        stride: usize,
        to: Sums<'_>,
    ) {
        let mut to = to;
        let depth = row.len();
        let count = match &to {
            Sums::Written(to) => to.len(),
            Sums::Added(to) => to.len(),
        };
        let last = count.saturating_sub(1);
        // The last ones repeat a column rather than have a loop of their own.
        let column = |index: usize| {
            let start = index.min(last) * stride;
            &columns[start..start + depth]
        };
        for first in (0..count).step_by(COLUMNS) {
            let of_group: [&[f32]; COLUMNS] = std::array::from_fn(|i| column(first + i));
            let next: [&[f32]; COLUMNS] = std::array::from_fn(|i| column(first + COLUMNS + i));
            let mut sums = [[0.0f32; LANES]; COLUMNS];
            let whole = depth - depth % LANES;
            for at in (0..whole).step_by(LANES) {
                for (i, sums) in sums.iter_mut().enumerate() {
                    prefetch(&next[i][at]);
                    let pairs = row[at..at + LANES].iter().zip(&of_group[i][at..at + LANES]);
                    for (sum, (a, b)) in sums.iter_mut().zip(pairs) {
                        *sum = mul_add::<FMA>(*a, *b, *sum);
                    }
                }
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let pairs = row[whole..].iter().zip(&of_group[i][whole..]);
                for (sum, (a, b)) in sums.iter_mut().zip(pairs) {
                    *sum = mul_add::<FMA>(*a, *b, *sum);
                }
            }
            let mut of_columns = [0.0f32; COLUMNS];
            for (sum, mut sums) in of_columns.iter_mut().zip(sums) {
                let mut width = LANES / 2;
                while width > 0 {
                    for lane in 0..width {
                        sums[lane] += sums[lane + width];
                    }
                    width /= 2;
                }
                *sum = sums[0];
            }
            match &mut to {
                Sums::Written(to) => {
                    for (to, sum) in to[first..].iter_mut().zip(of_columns) {
                        to.write(sum);
                    }
                }
                Sums::Added(to) => {
                    for (to, sum) in to[first..].iter_mut().zip(of_columns) {
                        *to += sum;
                    }
                }
            }
        }
    }
}
