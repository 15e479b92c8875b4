//! Times closures: a warm-up, then samples of about equal length, each of one or more calls.

use std::{
    env,
    time::{Duration, Instant},
};

/// The settings of a benchmark program.
pub struct Bench {
    filter: String,
    warm_up: Duration,
    measurement: Duration,
    samples: u32,
}

impl Bench {
    /// Reads the command line, `[FILTER] [--quick]`: only benchmarks whose name contains FILTER run, and with `--quick`
    /// for a tenth of the time.
    pub fn from_args(samples: u32) -> Self {
        let args: Vec<String> = env::args().skip(1).collect();
        let is_quick = args.iter().any(|arg| arg == "--quick");
        let (warm_up, measurement) = if is_quick { (100, 500) } else { (1000, 5000) };
        Self {
            // Cargo adds `--bench`.
            filter: args.into_iter().find(|arg| !arg.starts_with('-')).unwrap_or_default(),
            warm_up: Duration::from_millis(warm_up),
            measurement: Duration::from_millis(measurement),
            samples,
        }
    }

    /// Times calls that handle so many elements each: `run` makes some calls and returns how long they took.
    #[allow(clippy::print_stdout)]
    pub fn time(&self, name: &str, elements: usize, run: impl FnMut(u32) -> Duration) {
        if name.contains(&self.filter) {
            let (fastest, median, slowest) = self.sample(run);
            let rate = elements as f64 / median.as_secs_f64() / 1e6;
            let line =
                format!("{name}\n  {median:.3?} ({fastest:.3?} to {slowest:.3?}), {rate:.3} M/s");
            println!("{line}");
        }
    }

    /// The shortest, the median and the longest time of a call, over the samples.
    fn sample(&self, mut run: impl FnMut(u32) -> Duration) -> (Duration, Duration, Duration) {
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed() < self.warm_up {
            run(1);
            calls += 1;
        }
        let per_sample = self.measurement.div_duration_f64(start.elapsed()) * f64::from(calls);
        let calls = ((per_sample / f64::from(self.samples)) as u32).max(1);
        let mut times: Vec<Duration> = (0..self.samples).map(|_| run(calls) / calls).collect();
        times.sort();
        (times[0], times[times.len() / 2], times[times.len() - 1])
    }
}
