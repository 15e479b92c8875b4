//! How text is continued: by the flags, else as the model's own files say.

use std::fmt::Display;

use peft_core::{Error, Result};
use peft_models::{
    Loaded,
    generate::{
        Beams, EarlyStopping, EndTokens, GenerateConfig, GenerationDefaults, Sampling, Strategy,
    },
};

use crate::{
    flags::decoding::{DecodingArgs, MAX_NEW_TOKENS},
    output,
};

/// The candidates that transformers draws from where a model's file asks for sampling and does not say.
const TOP_K: usize = 50;

/// Settings of a model's file that have no effect, and for which there are flags.
const STOPS: &str = "stop_strings";
const RETURNED: &str = "num_return_sequences";

/// What the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be read.
    Reading,
    /// To be scored: it is never drawn, so that a score says something about the adapter and nothing about a draw.
    Scoring,
}

/// The settings for a model: those of the flags, else those that its files ask for, else greedy. What was taken from
/// the files is told on stderr.
///
/// # Errors
///
/// [`Error::Setting`] naming the flag that is out of range or does not go with the others; [`Error::Config`] for a value of
/// the files that cannot be used, and as [`GenerationDefaults::of`].
pub fn settle(
    flags: &DecodingArgs,
    base: &Loaded,
    end: &EndTokens,
    purpose: Purpose,
) -> Result<GenerateConfig> {
    if flags.stop.iter().any(String::is_empty) {
        return Err(Error::setting("--stop", "found an empty text"));
    }
    if flags.temperature == Some(0.0) {
        let message = "found 0, expected a number above 0; --greedy takes the likeliest token each time, as 0 does elsewhere";
        return Err(Error::setting("--temperature", message));
    }
    end.check(base.model.spec().vocab_size)?;
    let file = GenerationDefaults::of(base)?;
    let mut taken = Taken::default();
    let mut config = lengths((flags, purpose), base, &file, &mut taken)?
        .with_end_tokens(end.ids().to_vec())
        .with_num_return_sequences(flags.num_return_sequences.unwrap_or(1));
    scores(flags, &file, &mut taken, &mut config);
    config.strategy = strategy(flags, &file, &mut taken, purpose)?;
    for (key, numbers) in file.no_tokens() {
        taken.leave_out(&format!("{numbers} in {key}"), "no token has such an id");
    }
    if config.num_return_sequences > 1 && config.strategy == Strategy::Greedy {
        let leave_out = if flags.greedy { "leave out --greedy, and " } else { "" };
        let message = format!(
            "the likeliest tokens are one text: {leave_out}give --num-beams N for the best of a search, or \
             --temperature X (also --top-k, --top-p) for draws"
        );
        return Err(Error::setting("--num-return-sequences", message));
    }
    config.validate().map_err(|error| match error {
        Error::Setting { setting, message } if taken.has(&setting) => {
            let flag = setting.replace('_', "-");
            file.error(&setting, format!("{message}; --{flag} overrides it"))
        }
        other => other,
    })?;
    taken.note(&file);
    note_unknown(flags, &file, &config, purpose);
    Ok(config)
}

/// Tells where the model's positions leave fewer new tokens than its file asks for: `left` are the most behind the longest
/// input.
///
/// # Errors
///
/// As [`GenerationDefaults::of`].
pub fn note_fewer(flags: &DecodingArgs, base: &Loaded, left: usize) -> Result<()> {
    if flags.max_new_tokens.is_some() {
        return Ok(());
    }
    let file = GenerationDefaults::of(base)?;
    if let Some(most) = file.max_new_tokens()?.filter(|most| *most > left) {
        output::note(format!(
            "note: {}: max_new_tokens {most} gives way to the model's positions, which leave {left} behind the longest input",
            file.file_name()
        ));
    }
    Ok(())
}

fn lengths(
    (flags, purpose): (&DecodingArgs, Purpose),
    base: &Loaded,
    file: &GenerationDefaults,
    taken: &mut Taken,
) -> Result<GenerateConfig> {
    let own = |length: Result<Option<usize>>| match purpose {
        Purpose::Reading => overridden(length, "--max-new-tokens"),
        // What is scored without the flag is not written.
        Purpose::Scoring => Ok(length.unwrap_or_default()),
    };
    let by_file = flags.max_new_tokens.is_none();
    let most = if by_file { own(file.max_new_tokens())? } else { None };
    let most = taken.or(flags.max_new_tokens, "max_new_tokens", most);
    let max_length = if most.is_none() { own(file.max_length())? } else { None };
    let total = taken.or(None, "max_length", max_length);
    // Where no flag says how many, there may be fewer, as many as fit.
    let total = total.or(by_file.then_some(usize::MAX));
    let most = most.or(max_length).unwrap_or(MAX_NEW_TOKENS);
    let mut config = GenerateConfig::for_model(base, most)?.with_max_total_tokens(total);
    let least = taken.or(flags.min_new_tokens, "min_new_tokens", some(file.min_new_tokens));
    let total = file.min_length.filter(|_| least.is_none());
    config.min_total_tokens = taken.or(None, "min_length", some(total)).unwrap_or_default();
    config.min_new_tokens = least.unwrap_or_default();
    if flags.min_new_tokens.is_none() {
        // As in transformers, a maximum goes before a minimum of the file.
        config.min_new_tokens = config.min_new_tokens.min(most);
    }
    Ok(config)
}

/// A value of the file that a flag, which was not given, takes the place of.
fn overridden<T>(value: Result<T>, flag: &str) -> Result<T> {
    value.map_err(|error| match error {
        Error::Config { path, key, message } => {
            Error::Config { path, key, message: format!("{message}; {flag} overrides it") }
        }
        other => other,
    })
}

fn scores(
    flags: &DecodingArgs,
    file: &GenerationDefaults,
    taken: &mut Taken,
    config: &mut GenerateConfig,
) {
    let penalty = file.repetition_penalty.filter(|penalty| *penalty != 1.0);
    let penalty = taken.or(flags.repetition_penalty, "repetition_penalty", penalty);
    config.repetition_penalty = penalty.unwrap_or(1.0);
    let size = some(file.no_repeat_ngram_size);
    let size = taken.or(flags.no_repeat_ngram_size, "no_repeat_ngram_size", size);
    config.no_repeat_ngram_size = size.unwrap_or_default();
    let size = some(file.encoder_no_repeat_ngram_size);
    let size = taken.or(None, "encoder_no_repeat_ngram_size", size);
    config.encoder_no_repeat_ngram_size = size.unwrap_or_default();
    for (name, count) in [
        ("bad_words_ids", file.bad_words.len()),
        ("suppress_tokens", file.suppress_tokens.len()),
        ("begin_suppress_tokens", file.begin_suppress_tokens.len()),
    ] {
        if count > 0 {
            taken.add(name, format!("({count})"));
        }
    }
    config.bad_words.clone_from(&file.bad_words);
    config.suppress_tokens.clone_from(&file.suppress_tokens);
    config.begin_suppress_tokens.clone_from(&file.begin_suppress_tokens);
}

/// A number, if it does something.
fn some(number: Option<usize>) -> Option<usize> {
    number.filter(|number| *number > 0)
}

fn strategy(
    flags: &DecodingArgs,
    file: &GenerationDefaults,
    taken: &mut Taken,
    purpose: Purpose,
) -> Result<Strategy> {
    let is_sampled = flags.temperature.is_some() || flags.top_k.is_some() || flags.top_p.is_some();
    let is_searched = flags.num_beams.is_some_and(|beams| beams != 1);
    if is_sampled && is_searched {
        let message = "beams and sampling (--temperature, --top-k, --top-p) exclude each other";
        return Err(Error::setting("--num-beams", message));
    }
    // What the file says counts unless a flag says otherwise.
    let by_file = !flags.greedy && !is_sampled && !is_searched;
    let beams = file.num_beams.filter(|beams| *beams > 1 && flags.num_beams.is_none());
    let samples = is_sampled || by_file && file.do_sample && purpose == Purpose::Reading;
    let searches = is_searched || by_file && beams.is_some();
    if samples && searches {
        let message = "asks for beams and sampling at once, which is not implemented: give --greedy, --num-beams N or \
                       --temperature X";
        return Err(file.error("num_beams", message));
    }
    if file.do_sample && !samples && !flags.greedy {
        taken.leave_out(
            "do_sample",
            match purpose {
                Purpose::Scoring => "scores are of the likeliest text",
                Purpose::Reading => "beams and sampling exclude each other",
            },
        );
    }
    if beams.is_some() && is_sampled {
        taken.leave_out("num_beams", "beams and sampling exclude each other");
    }
    if samples {
        return sampling(flags, file, taken, is_sampled).map(Strategy::Sampling);
    }
    if flags.seed.is_some() {
        let message =
            "without sampling there is nothing to draw: give --temperature, --top-k or --top-p";
        return Err(Error::setting("--seed", message));
    }
    if searches {
        return search(flags, file, taken, beams).map(Strategy::Beams);
    }
    for (flag, given) in [
        ("--length-penalty", flags.length_penalty.is_some()),
        ("--early-stopping", flags.early_stopping.is_some()),
    ] {
        if given {
            return Err(Error::setting(
                flag,
                "is a setting of beam search: give --num-beams above 1",
            ));
        }
    }
    Ok(Strategy::Greedy)
}

fn sampling(
    flags: &DecodingArgs,
    file: &GenerationDefaults,
    taken: &mut Taken,
    is_sampled: bool,
) -> Result<Sampling> {
    let defaults = Sampling::default();
    if !is_sampled {
        taken.add("do_sample", true);
    }
    let own = match flags.temperature {
        Some(_) => None,
        None => overridden(file.temperature(), "--temperature")?,
    };
    let temperature = taken.or(flags.temperature, "temperature", own);
    let own = match flags.top_k {
        Some(_) => None,
        // Where a flag alone asks for sampling, all tokens may be drawn.
        None => overridden(file.top_k(), "--top-k")?.or(file.do_sample.then_some(TOP_K)),
    };
    let top_k = taken.or(flags.top_k, "top_k", own);
    let own = match flags.top_p {
        Some(_) => None,
        None => overridden(file.top_p(), "--top-p")?,
    };
    let top_p = taken.or(flags.top_p, "top_p", own);
    Ok(Sampling {
        temperature: temperature.unwrap_or(defaults.temperature),
        // 0 turns it off in a file; as a flag it is refused.
        top_k: top_k.filter(|top_k| *top_k > 0 || flags.top_k.is_some()),
        top_p: top_p.unwrap_or(defaults.top_p),
        seed: flags.seed.unwrap_or(defaults.seed),
    })
}

fn search(
    flags: &DecodingArgs,
    file: &GenerationDefaults,
    taken: &mut Taken,
    beams: Option<usize>,
) -> Result<Beams> {
    let own = file.beams()?;
    let num_beams = taken.or(flags.num_beams, "num_beams", beams);
    let defaults = Beams::new(num_beams.unwrap_or(1));
    let penalty = taken.or(flags.length_penalty, "length_penalty", own.length_penalty);
    let early_stopping = match (flags.early_stopping, own.early_stopping) {
        (Some(name), _) => name.into(),
        (None, Some(own)) => {
            let value = match own {
                EarlyStopping::Heuristic => "false",
                EarlyStopping::Always => "true",
                EarlyStopping::Never => "never",
            };
            taken.add("early_stopping", value);
            own
        }
        (None, None) => defaults.early_stopping,
    };
    let penalty = penalty.unwrap_or(defaults.length_penalty);
    Ok(defaults.with_length_penalty(penalty).with_early_stopping(early_stopping))
}

/// What the model's file sets and no flag does.
#[derive(Debug, Default)]
struct Taken {
    set: Vec<(&'static str, String)>,
    left_out: Vec<String>,
}

impl Taken {
    fn add(&mut self, name: &'static str, value: impl Display) {
        self.set.push((name, value.to_string()));
    }

    /// The value of a flag, else that of the file.
    fn or<T: Display>(
        &mut self,
        flag: Option<T>,
        name: &'static str,
        file: Option<T>,
    ) -> Option<T> {
        if flag.is_none()
            && let Some(value) = &file
        {
            self.add(name, value);
        }
        flag.or(file)
    }

    fn leave_out(&mut self, name: &str, reason: &str) {
        self.left_out.push(format!("{name} is left out, {reason}"));
    }

    fn has(&self, name: &str) -> bool {
        self.set.iter().any(|(set, _)| *set == name)
    }

    fn note(&self, file: &GenerationDefaults) {
        let set: Vec<String> =
            self.set.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let mut parts = Vec::new();
        if !set.is_empty() {
            parts.push(format!("sets {}", set.join(", ")));
        }
        parts.extend(self.left_out.iter().cloned());
        if !parts.is_empty() {
            output::note(format!("note: {}: {}", file.file_name(), parts.join("; ")));
        }
    }
}

/// Warns of what the file sets and is not known here.
fn note_unknown(
    flags: &DecodingArgs,
    file: &GenerationDefaults,
    config: &GenerateConfig,
    purpose: Purpose,
) {
    let mut names = file.unknown(&config.strategy);
    if flags.num_return_sequences.is_some() || purpose == Purpose::Scoring {
        names.retain(|name| *name != RETURNED);
    }
    if !flags.stop.is_empty() {
        names.retain(|name| *name != STOPS);
    }
    if names.is_empty() {
        return;
    }
    // Where texts are scored there are no such flags.
    let ways_out = [(STOPS, "--stop TEXT"), (RETURNED, "--num-return-sequences N")]
        .into_iter()
        .filter(|(name, _)| purpose == Purpose::Reading && names.contains(name))
        .map(|(name, flag)| format!("; {flag} does what {name} asks for"))
        .collect::<String>();
    let (file, names) = (file.file_name(), names.join(", "));
    output::note(format!(
        "warning: {file} sets {names}, which has no effect here: transformers' generate may write something else{ways_out}"
    ));
}
