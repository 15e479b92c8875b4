//! Times as people read them.

use std::time::Duration;

/// Minutes and seconds, with hours if there are any: `0:07`, `12:30`, `1:02:03`.
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The time that the rest of some work takes, if it goes on as it did so far.
pub fn rest(elapsed: Duration, done: usize, left: usize) -> Option<Duration> {
    let seconds = elapsed.as_secs_f64() / done as f64 * left as f64;
    Duration::try_from_secs_f64(seconds).ok().filter(|_| done > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let of = |seconds| time(Duration::from_secs(seconds));
        assert_eq!(
            [of(7), of(750), of(3723), of(360_000)],
            ["0:07", "12:30", "1:02:03", "100:00:00"]
        );
    }

    #[test]
    fn the_rest_takes_as_long_as_what_is_done() {
        let minute = Duration::from_secs(60);
        assert_eq!(rest(minute, 20, 10), Some(Duration::from_secs(30)));
        assert_eq!((rest(minute, 0, 10), rest(minute, 5, 0)), (None, Some(Duration::ZERO)));
    }
}
