//! Which way a product of a few rows goes.

use std::cell::RefCell;

use super::{
    super::{destination::Destination, panel::WIDTH, view::MatrixView},
    by_columns, by_rows,
    rows::{MOST, PANELS, Rows, of_panel},
};

/// `to = a b`, or `to += a b`, of up to [`MOST`] rows, and a matrix whose columns or rows are stored in order.
///
/// # Panics
///
/// Panics if there are more rows, or no order.
///
/// # Safety
///
/// As [`product`](super::super::product::product), which has checked the sizes.
pub(in super::super) unsafe fn product(to: Destination, a: MatrixView<'_>, b: MatrixView<'_>) {
    thread_local! {
        static ROWS: RefCell<[Rows; PANELS]> = RefCell::default();
    }
    assert!((1..=MOST).contains(&a.rows), "few rows");
    assert!(b.row_stride == 1 || b.column_stride == 1, "rows or columns in order");
    ROWS.with_borrow_mut(|rows| {
        let panels = &mut rows[..a.rows.div_ceil(WIDTH)];
        for (index, rows) in panels.iter_mut().enumerate() {
            rows.terms.set(a.transposed().columns(of_panel(index, a.rows)));
        }
        // SAFETY: the panels have all rows; the rest is the caller's promise.
        unsafe {
            match b.row_stride {
                1 => by_columns::product(to, panels, a.rows, b),
                _ => by_rows::product(to, panels, a.rows, b),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{product::product_by_tiles, tests::LEVELS_DOWN},
        *,
    };

    fn number(at: usize) -> f32 {
        ((at * 7919) % 1009) as f32 / 1009.0 - 0.5
    }

    /// With all vector instructions, whatever the sizes and the strides.
    #[test]
    fn the_bits_are_those_of_tiles() {
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            for m in [1, 2, 3, 4, 8, 9, 12, 13, 16, 17, 32, 33, 48, 49, MOST - 1, MOST] {
                for k in [0, 1, 31, 255, 257, 600] {
                    for n in [1, 11, 48, 49, 100] {
                        check([m, k, n]);
                    }
                }
            }
            // More columns than have their sums in the cache.
            check([5, 40, 2100]);
            check([40, 300, 1100]);
            LEVELS_DOWN.set(0);
        }
    }

    fn check([m, k, n]: [usize; 3]) {
        let (a_stride, b_stride, to_stride) = (k.max(m) + 2, k.max(n) + 3, n + 5);
        let a: Vec<f32> = (0..k.max(m) * a_stride).map(number).collect();
        let b: Vec<f32> = (0..k.max(n) * b_stride).map(|at| number(at + 17)).collect();
        let lefts = [
            MatrixView::by_rows(&a, m, k, a_stride),
            MatrixView::by_rows(&a, k, m, a_stride).transposed(),
        ];
        let rights = [
            MatrixView::by_rows(&b, k, n, b_stride),
            MatrixView::by_rows(&b, n, k, b_stride).transposed(),
        ];
        for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
            for accumulate in [false, true] {
                let by = |product: unsafe fn(Destination, MatrixView<'_>, MatrixView<'_>)| {
                    let mut to: Vec<f32> = (0..m * to_stride).map(|at| number(at + 5)).collect();
                    // SAFETY: `to` has m rows of n elements.
                    unsafe {
                        product(Destination::of(&mut to, to_stride, accumulate), left, right)
                    };
                    to
                };
                let (found, expected) = (by(product), by(product_by_tiles));
                assert!(found == expected, "{m} {k} {n}, added {accumulate}");
                let mut between = (0..found.len()).filter(|at| at % to_stride >= n);
                assert!(between.all(|at| found[at] == number(at + 5)));
            }
        }
    }
}
