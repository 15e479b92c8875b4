//! The kernels of `peft-models` that have unsafe code of their own, built alone.

#![allow(dead_code, missing_docs, unused_imports)]

#[path = "../../peft-models/src/kernels"]
pub mod kernels {
    pub mod cpu {
        mod ahead;
        mod bf16;
        mod block;
        mod destination;
        mod dot_products;
        mod few_rows;
        mod panel;
        mod parallel;
        mod product;
        mod simd;
        mod switch;
        mod tile;
        #[cfg(target_arch = "x86_64")]
        mod transpose;
        mod unwritten;
        mod view;

        #[cfg(test)]
        mod tests {
            thread_local! {
                pub static LEVELS_DOWN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
            }
        }
    }
}
