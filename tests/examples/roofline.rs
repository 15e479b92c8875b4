//! How close the products of a training step come to what the machine can do.
//!
//! ```text
//! cargo build --release --workspace --examples
//! target/release/examples/roofline [--markdown] [--threads N] [--seconds S]
//! ```
//!
//! First what is possible, on one thread and on N [default: all of the machine]: f32 fused multiply-adds in registers,
//! a loop of independent ones, and reading an array much larger than the caches. Then every product with a frozen
//! weight of the models that `bench/race.py` trains: 512 rows forward and backward (dx = dy Wᵀ), and 32 rows forward, a
//! step of generation.
//!
//! Each number is the best of at least three repetitions that take S seconds together [default: 0.3]. Weights are read
//! from memory, not from a cache, as in a model with many of them; outputs are memory that was freed before, as in
//! `peft`. Nothing else may run meanwhile: where the loop is disturbed and the products are not, shares are above 100.
#![allow(clippy::print_stdout)]

use std::{
    hint::black_box,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use burn::tensor::{Device, Tensor, TensorData};
use peft_cli::allocator::keep_freed_memory;
use peft_models::bench::linear;
use rayon::ThreadPoolBuilder;

/// Rows of a training step: 8 of 64 tokens.
const TRAINING: usize = 512;

/// Rows of a step of generation.
const GENERATION: usize = 32;

/// A weight is copied until its copies, read in turn, fill this many bytes: more than a cache holds.
const COLD: usize = 128 << 20;

/// How a weight lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    /// `[in, out]`, as GPT-2's `Conv1D`.
    InOut,
    /// `[out, in]`, as PyTorch's `Linear`.
    OutIn,
}

/// A model's products with frozen weights.
struct Model {
    name: &'static str,
    stored: Stored,
    generates: bool,
    /// In and out.
    layers: &'static [[usize; 2]],
    /// The language-model head, stored `[out, in]` always.
    head: Option<[usize; 2]>,
}

const MODELS: [Model; 4] = [
    Model {
        name: "GPT-2 small",
        stored: Stored::InOut,
        generates: true,
        layers: &[[768, 2304], [768, 768], [768, 3072], [3072, 768]],
        head: Some([768, 50257]),
    },
    Model {
        name: "gpt2-6l",
        stored: Stored::InOut,
        generates: true,
        layers: &[[384, 1152], [384, 384], [384, 1536], [1536, 384]],
        head: Some([384, 8000]),
    },
    Model {
        name: "MiniLM",
        stored: Stored::OutIn,
        generates: false,
        layers: &[[384, 1152], [384, 384], [384, 1536], [1536, 384]],
        head: None,
    },
    Model {
        name: "llama-0.1b",
        stored: Stored::OutIn,
        generates: true,
        layers: &[[768, 1280], [768, 768], [768, 4096], [2048, 768]],
        head: Some([768, 32000]),
    },
];

fn main() {
    keep_freed_memory();
    let settings = match Settings::read() {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("{message}\nusage: roofline [--markdown] [--threads N] [--seconds S]");
            std::process::exit(2);
        }
    };
    let mut counts = vec![1, settings.threads];
    counts.dedup();
    let roofs: Vec<Roof> =
        counts.iter().map(|threads| Roof::measure(*threads, &settings)).collect();
    let mut table = Table::new(&["threads", "GFLOP/s, f32", "GB/s, reading"]);
    for roof in &roofs {
        let Roof { threads, flops, bytes } = roof;
        table.add(vec![
            threads.to_string(),
            format!("{:.0}", flops / 1e9),
            format!("{:.1}", bytes / 1e9),
        ]);
    }
    println!("The machine, {}:\n", instructions().0);
    table.print(1, settings.markdown);
    for roof in &roofs {
        let threads = match roof.threads {
            1 => "1 thread".to_string(),
            more => format!("{more} threads"),
        };
        println!(
            "\nProducts on {threads}, GFLOP/s and per cent of the peak; for {GENERATION} rows also"
        );
        println!(
            "per cent of the roof, which is the peak or what memory allows where that is less:\n"
        );
        products(roof, &settings).print(2, settings.markdown);
    }
}

/// The command line.
struct Settings {
    markdown: bool,
    threads: usize,
    seconds: f64,
}

impl Settings {
    fn read() -> Result<Self, String> {
        let threads = thread::available_parallelism().map_or(1, |count| count.get());
        let mut settings = Self { markdown: false, threads, seconds: 0.3 };
        let mut args = std::env::args().skip(1);
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{flag} needs a value"));
            let bad = |value: String| format!("{flag} cannot be {value}");
            match flag.as_str() {
                "--markdown" => settings.markdown = true,
                "--threads" => {
                    let value = value()?;
                    let count = value.parse().ok().filter(|count| *count > 0);
                    settings.threads = count.ok_or_else(|| bad(value))?;
                }
                "--seconds" => {
                    let value = value()?;
                    let seconds = value.parse().ok().filter(|seconds| *seconds > 0.0);
                    settings.seconds = seconds.ok_or_else(|| bad(value))?;
                }
                _ => return Err(format!("{flag} is not known")),
            }
        }
        Ok(settings)
    }

    /// The least of what `seconds` returns when it is called repeatedly.
    fn least(&self, mut seconds: impl FnMut() -> f64) -> f64 {
        let start = Instant::now();
        let (mut least, mut times) = (f64::INFINITY, 0);
        while times < 3 || start.elapsed().as_secs_f64() < self.seconds {
            least = least.min(seconds());
            times += 1;
        }
        least
    }
}

/// What a number of threads can do per second.
struct Roof {
    threads: usize,
    flops: f64,
    bytes: f64,
}

impl Roof {
    fn measure(threads: usize, settings: &Settings) -> Self {
        let (_, body) = instructions();
        let rounds = 1 << 20;
        let flops = AtomicUsize::new(0);
        let seconds = settings.least(|| {
            flops.store(0, Ordering::Relaxed);
            together(threads, |_| {
                flops.fetch_add(body(black_box(rounds)), Ordering::Relaxed);
            })
        });
        // 256 MiB for each thread.
        let part = 32 << 20;
        let array = vec![1u64; threads * part];
        let reading = settings.least(|| {
            together(threads, |thread| {
                let mut sums = [0u64; 32];
                for chunk in array[thread * part..(thread + 1) * part].chunks_exact(sums.len()) {
                    for (sum, value) in sums.iter_mut().zip(chunk) {
                        *sum = sum.wrapping_add(*value);
                    }
                }
                black_box(sums);
            })
        });
        Self {
            threads,
            flops: flops.into_inner() as f64 / seconds,
            bytes: size_of_val(&array[..]) as f64 / reading,
        }
    }
}

/// The seconds in which `threads` threads do `work`, which is given the index of its thread.
fn together(threads: usize, work: impl Fn(usize) + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let (barrier, work) = (&barrier, &work);
    let run = move |thread: usize| {
        barrier.wait();
        let start = Instant::now();
        work(thread);
        (start, Instant::now())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|index| scope.spawn(move || run(index))).collect();
        let (mut start, mut end) = run(0);
        for other in others {
            // A thread of this program panics nowhere.
            let Ok((its_start, its_end)) = other.join() else { continue };
            start = start.min(its_start);
            end = end.max(its_end);
        }
        (end - start).as_secs_f64()
    })
}

/// Sums that do not depend on one another: enough to hide how long an instruction takes, and few enough for the
/// registers.
const SUMS: usize = 12;

/// Makes a loop of fused multiply-adds of vectors of `$width` elements, which returns how many operations it made.
macro_rules! multiply_adds {
    ($name:ident, $features:literal, $width:literal, $set:ident, $multiply_add:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $name(rounds: usize) -> usize {
            use std::arch::x86_64::{$multiply_add, $set};
            let (factor, summand) = ($set(black_box(0.5)), $set(black_box(1.0)));
            let mut sums = [$set(black_box(3.0)); SUMS];
            for _ in 0..rounds {
                for sum in &mut sums {
                    *sum = $multiply_add(*sum, factor, summand);
                }
            }
            black_box(sums);
            2 * SUMS * $width * rounds
        }
    };
}

multiply_adds!(avx512, "avx512f", 16, _mm512_set1_ps, _mm512_fmadd_ps);
multiply_adds!(avx2, "avx2,fma", 8, _mm256_set1_ps, _mm256_fmadd_ps);

/// The same in vectors of four, fused only where all machines of the target can.
fn portable(rounds: usize) -> usize {
    let (factor, summand) = (black_box(0.5f32), black_box(1.0f32));
    let mut sums = [[black_box(3.0f32); 4]; SUMS];
    for _ in 0..rounds {
        for sum in sums.iter_mut().flatten() {
            *sum = if cfg!(target_arch = "aarch64") {
                sum.mul_add(factor, summand)
            } else {
                *sum * factor + summand
            };
        }
    }
    black_box(sums);
    2 * SUMS * 4 * rounds
}

/// The widest vectors of this machine, with the loop that uses them.
fn instructions() -> (&'static str, fn(usize) -> usize) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine was asked.
            return ("AVX-512", |rounds| unsafe { avx512(rounds) });
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the machine was asked.
            return ("AVX2", |rounds| unsafe { avx2(rounds) });
        }
    }
    ("vectors of four", portable)
}

/// All products of the models on the threads of `roof`.
fn products(roof: &Roof, settings: &Settings) -> Table {
    let mut table = Table::new(&[
        "model",
        "weight",
        "512 forward",
        "%",
        "512 backward",
        "%",
        "32 forward",
        "%",
        "% of roof",
    ]);
    // A pool with this thread in it, as it is without any.
    let pool = ThreadPoolBuilder::new().num_threads(roof.threads).build();
    let Ok(pool) = pool else { return table };
    for model in &MODELS {
        let layers = model.layers.iter().map(|sizes| (*sizes, model.stored));
        let head = model.head.map(|sizes| (sizes, Stored::OutIn));
        for ([input, output], stored) in layers.chain(head) {
            let copies = copies([input, output], stored);
            let backward: Vec<_> = copies.iter().map(|weight| weight.clone().transpose()).collect();
            let rate = |rows: usize, weights: &[Tensor<2>]| {
                let seconds = pool.install(|| seconds(rows, weights, settings));
                2.0 * (rows * input * output) as f64 / seconds
            };
            let mut cells = vec![model.name.to_string(), format!("{input} x {output}")];
            let per_cent = |part: f64, of: f64| format!("{:.0}", 100.0 * part / of);
            let mut add = |rate: f64| {
                cells.extend([format!("{:.1}", rate / 1e9), per_cent(rate, roof.flops)]);
            };
            add(rate(TRAINING, &copies));
            // The gradient's product is the same kernel on the transposed view, without a graph around it.
            add(rate(TRAINING, &backward));
            if model.generates {
                let rate = rate(GENERATION, &copies);
                add(rate);
                let bytes = 4 * (input * output + GENERATION * (input + output));
                let work = (2 * GENERATION * input * output) as f64;
                let limit = roof.flops.min(roof.bytes * work / bytes as f64);
                cells.push(per_cent(rate, limit));
            } else {
                cells.extend(["", "", ""].map(String::from));
            }
            table.add(cells);
        }
    }
    table
}

/// Copies of a weight, as `[in, out]`, each in its own memory.
fn copies([input, output]: [usize; 2], stored: Stored) -> Vec<Tensor<2>> {
    let count = COLD.div_ceil(4 * input * output);
    let copy = |_| match stored {
        Stored::InOut => random([input, output]),
        Stored::OutIn => random([output, input]).transpose(),
    };
    (0..count).map(copy).collect()
}

/// Values between -1/2 and 1/2.
fn random(shape: [usize; 2]) -> Tensor<2> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| next()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// The least seconds of a product, with each of the weights in turn.
fn seconds(rows: usize, weights: &[Tensor<2>], settings: &Settings) -> f64 {
    let x = random([rows, weights[0].dims()[0]]);
    let mut turn = weights.iter().cycle();
    settings.least(|| {
        let Some(weight) = turn.next() else { return f64::INFINITY };
        let start = Instant::now();
        black_box(linear(black_box(x.clone()), weight));
        start.elapsed().as_secs_f64()
    })
}

/// Cells in columns.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().copied().map(String::from).collect()] }
    }

    fn add(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it, all but the first `left` columns flush right.
    fn print(&self, left: usize, markdown: bool) {
        if markdown {
            for (index, row) in self.rows.iter().enumerate() {
                println!("| {} |", row.join(" | "));
                if index == 0 {
                    let rule = |column| if column < left { "---|" } else { "---:|" };
                    println!("|{}", (0..row.len()).map(rule).collect::<String>());
                }
            }
            return;
        }
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].len()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.rows {
            let cell = |(column, cell): (usize, &String)| {
                let width = widths[column];
                if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            };
            let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
            println!("{}", cells.join("  ").trim_end());
        }
    }
}
