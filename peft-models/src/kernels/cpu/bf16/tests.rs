//! Products of bf16 against sums in f64 of the same rounded values, with every instruction of the machine.

use rayon::ThreadPoolBuilder;

use super::{
    super::{block::Block, unwritten::again, view::MatrixView},
    Instructions, RightSide, product, round,
};

fn number(at: usize) -> f32 {
    ((at * 7919) % 1009) as f32 / 1009.0 - 0.5
}

/// Instructions to test; says so if there are none.
#[allow(clippy::print_stderr)]
fn instructions() -> &'static [Instructions] {
    let found = Instructions::all_of_machine();
    if found.is_empty() {
        eprintln!("skipped: the machine has no instructions for bf16");
    }
    found
}

#[test]
fn values_are_rounded_to_the_nearest() {
    for (x, expected) in [
        (1.0, 1.0),
        (0.0, 0.0),
        // Halfway: to the even one.
        (1.0 + 1.0 / 256.0, 1.0),
        (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
        (-1.0 - 1.1 / 256.0, -1.0 - 2.0 / 256.0),
        (f32::MAX, f32::INFINITY),
        (f32::NEG_INFINITY, f32::NEG_INFINITY),
    ] {
        assert_eq!(round(x), expected, "{x}");
    }
    assert!(round(-0.0).is_sign_negative());
    assert!(round(f32::NAN).is_nan() && round(f32::from_bits(0x7f80_0001)).is_nan());
}

/// All sizes that are whole and partial tiles, panels and tasks, and both layouts of either side.
#[test]
fn products_are_sums_of_rounded_values() {
    for &instructions in instructions() {
        for m in [1, 2, 3, 7, 16, 17, 31, 33, 150] {
            for k in [1, 2, 31, 32, 33, 96, 515, 1100] {
                for n in [1, 15, 16, 17, 32, 33, 70, 515] {
                    check(instructions, [m, k, n]);
                }
            }
        }
        check(instructions, [3, 4100, 40]);
        check(instructions, [5, 0, 40]);
        check(instructions, [0, 7, 40]);
        check(instructions, [5, 7, 0]);
    }
}

fn check(instructions: Instructions, [m, k, n]: [usize; 3]) {
    // Gaps between rows, or elements of a row far apart.
    for transposed in [false, true] {
        let (rows, columns) = if transposed { (k, m) } else { (m, k) };
        let a: Vec<f32> = (0..rows * (columns + 2)).map(number).collect();
        let left = MatrixView::by_rows(&a, rows, columns, columns + 2);
        let left = if transposed { left.transposed() } else { left };
        let (rows, columns) = if transposed { (n, k) } else { (k, n) };
        let b: Vec<f32> = (0..rows * (columns + 3)).map(|at| number(at + 17)).collect();
        let right = MatrixView::by_rows(&b, rows, columns, columns + 3);
        let right = if transposed { right.transposed() } else { right };
        let mut packed = RightSide::zeros(k, n);
        let middle = n / 3;
        packed.set(0, 0, right.columns(0..middle));
        packed.set(0, middle, right.columns(middle..n));
        let [left, right] = [left, right]
            .map(|view| view.elements().map(|x| f64::from(round(x))).collect::<Vec<_>>());
        let a = MatrixView::by_rows(&a, m, k, if transposed { 1 } else { k + 2 });
        let a = if transposed { MatrixView::strided(a.data, [m, k], [1, m + 2]) } else { a };
        for add in [false, true] {
            let mut to = vec![f32::NAN; m * n];
            let start = |block: &Block| {
                let numbers: Vec<f32> = (0..m * n).map(|at| number(at + 5)).collect();
                block.start_with(None, Some(&numbers));
            };
            let start = add.then_some(&start as &(dyn Fn(&Block) + Sync));
            let finish = |block: &Block| {
                // SAFETY: the product wrote them.
                unsafe { block.each_row(|_, to| to.iter_mut().for_each(|to| *to *= 2.0)) };
            };
            // SAFETY: a product writes only numbers.
            let elements = unsafe { again(&mut to) };
            product(instructions, elements, a, &packed, start, Some(&finish));
            let step = if m * n * k > 100_000 { 61 } else { 1 };
            for at in (0..m * n).step_by(step) {
                let (row, column) = (at / n, at % n);
                let sum: f64 = (0..k).map(|i| left[row * k + i] * right[i * n + column]).sum();
                let expected = 2.0 * (sum + if add { f64::from(number(at + 5)) } else { 0.0 });
                let found = f64::from(to[at]);
                assert!(
                    (found - expected).abs() < 1e-6 * (k as f64 + 10.0),
                    "{instructions:?} {m} {k} {n} at {row} {column}: {found}, expected {expected}"
                );
            }
        }
    }
}

/// The same bits for any number of threads, and for rows alone or among others.
#[test]
fn results_depend_on_neither_threads_nor_other_rows() {
    let (m, k, n) = (300, 700, 333);
    let a: Vec<f32> = (0..m * k).map(number).collect();
    let b: Vec<f32> = (0..k * n).map(|at| number(at + 17)).collect();
    let mut packed = RightSide::zeros(k, n);
    packed.set(0, 0, MatrixView::by_rows(&b, k, n, n));
    for &instructions in instructions() {
        let run = |rows: std::ops::Range<usize>| {
            let mut to = vec![0.0; rows.len() * n];
            let a = MatrixView::by_rows(&a[rows.start * k..], rows.len(), k, k);
            // SAFETY: a product writes only numbers.
            product(instructions, unsafe { again(&mut to) }, a, &packed, None, None);
            to
        };
        let whole = run(0..m);
        for threads in [1, 2, 5] {
            // It can be made on any machine that runs tests.
            #[allow(clippy::unwrap_used)]
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| run(0..m)) == whole, "{instructions:?} {threads}");
        }
        for rows in [0..1, 5..9, 7..40, 290..300] {
            assert!(run(rows.clone()) == whole[rows.start * n..rows.end * n], "{rows:?}");
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let data = [1.0f32; 64];
    let mut packed = RightSide::zeros(8, 8);
    let set = |packed: &mut RightSide, row, column, sizes: [usize; 2]| {
        let part = MatrixView::by_rows(&data, sizes[0], sizes[1], sizes[1]);
        catch_unwind(AssertUnwindSafe(|| packed.set(row, column, part))).is_ok()
    };
    assert!(set(&mut packed, 0, 0, [8, 8]) && set(&mut packed, 8, 8, [0, 0]));
    for (row, column, sizes) in
        [(1, 0, [8, 8]), (0, 1, [8, 8]), (0, 0, [9, 7]), (usize::MAX, 0, [2, 2])]
    {
        assert!(!set(&mut packed, row, column, sizes), "{row} {column} {sizes:?}");
    }
    assert!(catch_unwind(|| RightSide::zeros(usize::MAX / 2, usize::MAX / 2)).is_err());
    for &instructions in instructions() {
        for (rows, columns, len) in [(8, 7, 64), (8, 8, 63), (7, 8, 64)] {
            let a = MatrixView::by_rows(&data, rows, columns, columns);
            let mut to = vec![0.0; len];
            // SAFETY: a product writes only numbers, and one that is refused nothing.
            let elements = unsafe { again(&mut to) };
            let run = AssertUnwindSafe(|| product(instructions, elements, a, &packed, None, None));
            assert!(catch_unwind(run).is_err(), "{rows} {columns} {len}");
        }
    }
}
