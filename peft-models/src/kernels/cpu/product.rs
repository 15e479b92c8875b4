//! The product of two matrices on one core.
//!
//! ```text
//! for 256 terms at a time:
//!     for 32 columns of the right side at a time, laid out in a panel:
//!         for up to 12 rows of the left side at a time (6 without AVX-512), where they lie: a tile
//! ```
//!
//! A panel stays in the first cache of a core while the rows pass. Few rows are laid out in place of the matrix, see
//! [`few_rows`]. Every sum adds its terms in order, 256 at a time, so that
//! an element of the result has the same bits whatever else is computed with it, and zeros behind its terms change nothing.
//! Only products of three rows at most are made of dot products, which add in another order.

use std::cell::RefCell;

use super::{
    ahead::Ahead,
    destination::Destination,
    dot_products::{Sums, dot_products},
    few_rows,
    panel::{DEPTH, Panel, WIDTH},
    parallel::part,
    tile::{MOST_COLUMNS, MOST_ROWS, Tile, Tiles},
    view::{MatrixView, span},
};

/// Up to so many rows are made of dot products, where columns of the right side are stored one after another: laying out a
/// panel would cost more than using it so few times.
const FEW: usize = 3;

/// From so many rows on they are few, see [`is_of_few_rows`]: where columns of the right side are stored one after another,
/// and where rows are.
const FEWEST: [usize; 2] = [9, 2];

/// The most terms of few rows, all of which are laid out: 2 MB for 32 of them.
const MOST_TERMS: usize = 1 << 14;

/// From so many rows on, each row of a product is the same, bit for bit, however many there are.
pub(super) const ALIKE_FROM: usize = FEW + 1;

/// `to = a b`, or `to += a b`.
///
/// # Panics
///
/// Panics if the sizes do not fit each other or `to`.
///
/// # Safety
///
/// `to` points to `to.len` elements, of which those of the product are initialised if it is added to them. Nothing else
/// accesses these during the call.
pub(super) unsafe fn product(to: Destination, a: MatrixView<'_>, b: MatrixView<'_>) {
    check(to, a, b);
    if is_of_few_rows(a, b) {
        // SAFETY: the caller's promise.
        return unsafe { few_rows::product(to, a, b) };
    }
    let in_order = a.column_stride == 1 && b.row_stride == 1;
    if a.rows > FEW || a.columns == 0 || b.columns == 0 || !in_order {
        // SAFETY: the caller's promise.
        return unsafe { product_by_tiles(to, a, b) };
    }
    for row in 0..a.rows {
        let terms = &a.data[row * a.row_stride..row * a.row_stride + a.columns];
        // SAFETY: this row is inside, as was checked; the caller promises that nobody else has it, and that it is
        // initialised if it is added to.
        let sums = unsafe {
            let start = to.start.add(row * to.row_stride);
            if to.accumulate {
                Sums::Added(std::slice::from_raw_parts_mut(start, b.columns))
            } else {
                Sums::Written(std::slice::from_raw_parts_mut(start.cast(), b.columns))
            }
        };
        dot_products(terms, b.data, b.column_stride, sums);
    }
}

/// Whether rows are laid out in place of the matrix on the right side: where panels of that would be used too few times.
fn is_of_few_rows(a: MatrixView<'_>, b: MatrixView<'_>) -> bool {
    let fewest = match (b.row_stride, b.column_stride) {
        (1, _) => FEWEST[0],
        (_, 1) => FEWEST[1],
        _ => return false,
    };
    (fewest..=few_rows::MOST).contains(&a.rows) && a.columns <= MOST_TERMS
}

/// A [`product`] whose rows are the same, bit for bit, however many there are.
///
/// # Panics
///
/// As [`product`].
///
/// # Safety
///
/// As [`product`].
pub(super) unsafe fn product_by_tiles(to: Destination, a: MatrixView<'_>, b: MatrixView<'_>) {
    check(to, a, b);
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    thread_local! {
        static PANEL: RefCell<Panel> = RefCell::default();
    }
    PANEL.with_borrow_mut(|panel| {
        // Without terms, too, the result is written.
        for first in (0..a.columns.max(1)).step_by(DEPTH) {
            let terms = first..a.columns.min(first + DEPTH);
            let (a, b) = (a.columns(terms.clone()), b.transposed().columns(terms).transposed());
            let to = Destination { accumulate: to.accumulate || first > 0, ..to };
            // SAFETY: the caller's promise; from the second time on, what the first has written is added to.
            unsafe { add_terms(to, a, b, panel) };
        }
    });
}

/// # Panics
///
/// Panics if the sizes do not fit each other or `to`.
fn check(to: Destination, a: MatrixView<'_>, b: MatrixView<'_>) {
    assert_eq!(a.columns, b.rows, "sizes of a product");
    let (m, n) = (a.rows, b.columns);
    if m > 0 && n > 0 {
        assert!(m == 1 || n <= to.row_stride, "rows of a product that overlap");
        assert!(span([m, n], [to.row_stride, 1]) <= to.len, "a product beyond its destination");
    }
}

/// A [`product`] of up to 256 terms.
///
/// # Safety
///
/// As [`product`], which also checked the sizes.
unsafe fn add_terms(to: Destination, a: MatrixView<'_>, b: MatrixView<'_>, panel: &mut Panel) {
    let (m, n, depth) = (a.rows, b.columns, a.columns);
    for column in (0..n).step_by(WIDTH) {
        let width = WIDTH.min(n - column);
        let tiles = Tiles::for_columns(width);
        let parts = m.div_ceil(tiles.rows);
        let columns = b.columns(column..column + width);
        // If it is in order, the first tile reads it where it lies, and lays it out for others on the way.
        let in_order = width == WIDTH && columns.column_stride == 1;
        match in_order {
            true => panel.reserve(depth),
            false => panel.set(columns),
        }
        let laid_out = panel.line(0);
        // A part of the next one is fetched with each row of tiles, so that laying it out does not wait for memory.
        let next = (parts > 1 && column + WIDTH < n)
            .then(|| b.columns(column + WIDTH..n.min(column + 2 * WIDTH)));
        for index in 0..parts {
            let rows = part(m, parts, index);
            let (right, right_stride) = match in_order && index == 0 {
                true => (columns.data.as_ptr(), columns.row_stride),
                false => (laid_out.cast_const(), WIDTH),
            };
            let lays_out = in_order && index == 0 && parts > 1;
            let mut ahead = next.map_or(Ahead::NOTHING, |next| Ahead::part(next, parts, index));
            for within in (0..width).step_by(tiles.columns) {
                // SAFETY: these rows and columns are inside, as was checked.
                unsafe {
                    let tile = Tile {
                        left: a.data.as_ptr().wrapping_add(rows.start * a.row_stride),
                        left_strides: [a.row_stride, a.column_stride],
                        right: right.wrapping_add(within),
                        right_stride,
                        copy: lays_out.then(|| laid_out.wrapping_add(within)),
                        depth,
                        to: to.start.add(rows.start * to.row_stride + column + within),
                        to_stride: to.row_stride,
                        accumulate: to.accumulate,
                        resume: false,
                        ahead: std::mem::replace(&mut ahead, Ahead::NOTHING),
                    };
                    match width - within {
                        left if left < tiles.columns => {
                            multiply_edge(&tiles, &tile, rows.len(), left)
                        }
                        _ => tiles.multiply(rows.len(), &tile),
                    }
                }
            }
        }
    }
}

/// A tile of which the result has only the first `columns`, by way of memory for a whole one.
///
/// # Safety
///
/// As [`Tiles::multiply`], but for the columns that the result does not have.
unsafe fn multiply_edge(tiles: &Tiles, tile: &Tile, rows: usize, columns: usize) {
    let mut whole = [0.0f32; MOST_ROWS * MOST_COLUMNS];
    let inside =
        Tile { to: whole.as_mut_ptr(), to_stride: MOST_COLUMNS, accumulate: false, ..*tile };
    // SAFETY: there is memory for the largest tile; the rest is the caller's promise.
    unsafe { tiles.multiply(rows, &inside) };
    for (row, sums) in whole.chunks(MOST_COLUMNS).enumerate().take(rows) {
        for (column, sum) in sums.iter().enumerate().take(columns) {
            // SAFETY: this element belongs to the caller, and is initialised if it is read.
            unsafe {
                let to = tile.to.add(row * tile.to_stride + column);
                to.write(if tile.accumulate { *sum + to.read() } else { *sum });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    #[cfg(target_arch = "x86_64")]
    use super::super::simd::Level;
    use super::{super::tests::LEVELS_DOWN, *};

    fn number(at: usize) -> f32 {
        ((at * 7919) % 1009) as f32 / 1009.0 - 0.5
    }

    /// With all vector instructions: partial tiles and panels, all layouts, and strides with gaps, against sums in f64.
    #[test]
    fn products_of_all_sizes_are_sums() {
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            for m in [1, 2, 7, 12, 13, 40] {
                for k in [0, 1, 30, 256, 257, 600] {
                    for n in [1, 16, 33, 100] {
                        check_sums([m, k, n]);
                    }
                }
            }
        }
        LEVELS_DOWN.set(0);
    }

    fn check_sums([m, k, n]: [usize; 3]) {
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
            // Neither rows nor columns are in order.
            MatrixView::strided(&b, [k, n / 2], [b_stride, 2]),
        ];
        for (left, right, accumulate) in lefts.into_iter().flat_map(|left| {
            rights.into_iter().flat_map(move |right| [(left, right, false), (left, right, true)])
        }) {
            let mut to = vec![2.0f32; m * to_stride];
            let result = Destination::of(&mut to, to_stride, accumulate);
            // SAFETY: `to` has m rows of n elements.
            unsafe { product(result, left, right) };
            let (of_left, of_right): (Vec<f32>, Vec<f32>) =
                (left.elements().collect(), right.elements().collect());
            let width = right.columns;
            for (row, found) in to.chunks(to_stride).enumerate() {
                for (column, found) in found[..width].iter().enumerate() {
                    let terms =
                        (0..k).map(|i| [of_left[row * k + i], of_right[i * width + column]]);
                    let sum: f64 = terms.map(|[x, y]| f64::from(x) * f64::from(y)).sum();
                    let expected = sum + if accumulate { 2.0 } else { 0.0 };
                    let difference = (f64::from(*found) - expected).abs();
                    assert!(difference < 1e-4, "{m} {k} {n} at {row} {column}: {found}");
                }
                // What lies between the rows is not touched.
                assert!(found[width..].iter().all(|x| *x == 2.0));
            }
        }
    }

    /// Whatever the vector instructions and the layout of the right side.
    #[test]
    fn from_enough_rows_on_each_is_the_same() {
        const MOST: usize = 160;
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            for k in [3, 33, 257, 1536] {
                let a: Vec<f32> = (0..MOST * k).map(number).collect();
                for n in [1, 4, 33, 100] {
                    let b: Vec<f32> = (0..n * k).map(|at| number(at + 17)).collect();
                    let right = MatrixView::by_rows(&b, n, k, k).transposed();
                    let across = MatrixView::by_rows(&b, k, n, n);
                    for (right, accumulate) in
                        [(right, false), (right, true), (across, false), (across, true)]
                    {
                        let rows = |m: usize| {
                            let mut to = vec![0.25f32; m * n];
                            let left = MatrixView::by_rows(&a[..m * k], m, k, k);
                            // SAFETY: `to` has m rows of n elements.
                            unsafe {
                                product(Destination::of(&mut to, n, accumulate), left, right)
                            };
                            to
                        };
                        let all = rows(MOST);
                        for m in
                            [ALIKE_FROM, ALIKE_FROM + 1, 8, 9, 13, 63, 64, 65, 96, 127, MOST - 1]
                        {
                            assert!(
                                rows(m) == all[..m * n],
                                "{level}: {m} rows of {k}, {n} columns"
                            );
                        }
                    }
                }
            }
            LEVELS_DOWN.set(0);
        }
    }

    /// The instructions do not change the order of additions, and both kinds fuse them with multiplications.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx512_and_avx2_give_the_same_bits() {
        if Level::of_machine() != Level::Avx512 {
            return;
        }
        for [m, k, n] in [[1, 300, 40], [5, 33, 7], [40, 700, 100]] {
            let (a, b): (Vec<f32>, Vec<f32>) =
                ((0..m * k).map(number).collect(), (0..k * n).map(|at| number(at + 17)).collect());
            let right = MatrixView::by_rows(&b, n, k, k).transposed();
            for right in [right, MatrixView::by_rows(&b, k, n, n)] {
                let by = |level| {
                    LEVELS_DOWN.set(level);
                    let mut to = vec![0.0f32; m * n];
                    let left = MatrixView::by_rows(&a, m, k, k);
                    // SAFETY: `to` has m rows of n elements.
                    unsafe { product(Destination::of(&mut to, n, false), left, right) };
                    LEVELS_DOWN.set(0);
                    to
                };
                assert!(by(0) == by(1), "{m} x {k} x {n}");
            }
        }
    }

    #[test]
    fn columns_are_alike_however_many_there_are() {
        const N: usize = 384;
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            for k in [33, 384, 700] {
                let b: Vec<f32> = (0..N * k).map(|at| number(at + 17)).collect();
                for m in [1, 2, 7, 40] {
                    let a: Vec<f32> = (0..m * k).map(number).collect();
                    let left = MatrixView::by_rows(&a, m, k, k);
                    for right in [
                        MatrixView::by_rows(&b, k, N, N),
                        MatrixView::by_rows(&b, N, k, k).transposed(),
                    ] {
                        let by = |each: usize| {
                            let mut all = vec![0.0f32; m * N];
                            for start in (0..N).step_by(each) {
                                let to = Destination::of(&mut all[start..], N, false);
                                let right = right.columns(start..start + each);
                                // SAFETY: from `start` on there are m rows of `each` elements.
                                unsafe { product(to, left, right) };
                            }
                            all
                        };
                        let whole = by(N);
                        for each in [1, 3, 32, 48, 192] {
                            assert!(by(each) == whole, "{level}: {m} x {k}, {each} columns");
                        }
                    }
                }
            }
            LEVELS_DOWN.set(0);
        }
    }

    /// So padding behind keys changes nothing.
    #[test]
    fn zeros_behind_the_terms_change_no_bit() {
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            for (k, zeros) in [(5, 1), (80, 40), (250, 20), (300, 500)] {
                let (m, n) = (20, 32);
                let all = k + zeros;
                let value = |at: usize| if at % all < k { number(at) } else { 0.0 };
                let a: Vec<f32> = (0..m * all).map(value).collect();
                let b: Vec<f32> = (0..all * n).map(|at| number(at + 17)).collect();
                let by = |depth: usize| {
                    let mut to = vec![0.0f32; m * n];
                    let left = MatrixView::by_rows(&a, m, depth, all);
                    let right = MatrixView::by_rows(&b, depth, n, n);
                    // SAFETY: `to` has m rows of n elements.
                    unsafe { product(Destination::of(&mut to, n, false), left, right) };
                    to
                };
                assert_eq!(by(k), by(all), "{level}: {k} terms and {zeros} zeros");
            }
        }
        LEVELS_DOWN.set(0);
    }

    #[test]
    fn a_result_that_does_not_fit_is_refused() {
        let (a, b) = ([1.0f32; 12], [1.0f32; 20]);
        let left = MatrixView::by_rows(&a, 3, 4, 4);
        let right = MatrixView::by_rows(&b, 4, 5, 5);
        let mut to = [0.0f32; 19];
        // Rows of 5 elements, and gaps of 2 between them.
        // SAFETY: what does not fit is refused.
        let make = |len: usize, row_stride: usize, to: &mut [f32]| {
            let to = Destination::of(&mut to[..len], row_stride, false);
            catch_unwind(|| unsafe { product(to, left, right) }).is_ok()
        };
        assert!(make(19, 7, &mut to) && to[18] == 4.0 && to[5] == 0.0);
        for (len, row_stride) in
            [(18, 7), (19, 8), (19, 4), (19, usize::MAX), (19, usize::MAX / 2 + 1)]
        {
            assert!(!make(len, row_stride, &mut to), "{len} {row_stride}");
        }
        let other = MatrixView::by_rows(&b, 3, 5, 5);
        let to = Destination::of(&mut to, 7, false);
        // SAFETY: as above.
        assert!(catch_unwind(|| unsafe { product(to, left, other) }).is_err());
    }
}
