//! Continues a text of the command line, and prints it.

use std::io;

use peft_core::Error;
use peft_models::generate::{GenerateConfig, Strategy, Watcher};

use super::{GenerateArgs, left_behind, rows::Rows, run_generate};
use crate::{
    decoding::note_fewer,
    error::{CliError, CliResult},
    output,
    screen::{bar::Bars, rows::RowsDone},
    session::Session,
    text_stream::{NewText, TextStream},
    token_text::TokenText,
};

/// Prints a text and its continuation, token by token if it is final before the end.
pub(super) fn continue_text(
    session: &Session,
    prompt: &str,
    args: &GenerateArgs,
    config: &GenerateConfig,
) -> CliResult {
    let tokenizer = &session.dir.tokenizer()?.tokenizer;
    // An encoder-decoder answers, other models continue.
    let answers = session.model().spec().is_encoder_decoder();
    let encoded = session.encode_prompt(prompt, &args.text, &args.asked);
    let ids = encoded.map_err(|error| match error {
        // The fault is the tokenizer's, not the text's.
        Error::TokenId { id, vocab_size, .. } => {
            let message = format!(
                "--prompt: the tokenizer gives token id {id}, outside the model's vocabulary of \
                 {vocab_size}"
            );
            Error::file(session.dir.path(), message).into()
        }
        Error::Data { message, .. } => CliError::Usage(format!("--prompt: {message}")),
        other => other.into(),
    })?;
    note_fewer(&args.decoding, &session.base, left_behind(session, ids.len()))?;
    // What answers stands alone.
    let (prompt, before) =
        if answers || args.asked.chat { ("", [].as_slice()) } else { (prompt, ids.as_slice()) };
    let texts = [NewText::new(TokenText::new(tokenizer), before, &args.decoding.stop)];
    let [text] = &texts;
    let searched = matches!(&config.strategy, Strategy::Beams(beams) if beams.num_beams > 1);
    if searched || config.num_return_sequences > 1 {
        let done = RowsDone::new("generate", 1, &Bars::default());
        let mut watcher = Rows { texts: Some(&texts), done, lines: None };
        let made = run_generate(session, &[&ids], config, &mut watcher)?;
        for sequence in made.iter().flatten() {
            let new = text.cut(&sequence.ids).unwrap_or_default();
            output::line(format!("{prompt}{new}"))?;
        }
        return Ok(session.check_base_sum()?);
    }
    let stream = TextStream::new(text.clone());
    let mut terminal = Terminal { prompt, text, stream, begun: false, written: Ok(()) };
    run_generate(session, &[&ids], config, &mut terminal)?;
    terminal.written?;
    let rest = if terminal.begun { terminal.stream.finish() } else { prompt.to_string() };
    output::line(rest)?;
    Ok(session.check_base_sum()?)
}

/// Prints one sequence as it is generated.
struct Terminal<'a> {
    prompt: &'a str,
    text: &'a NewText<'a>,
    stream: TextStream<'a>,
    /// Whether there was a token: a text that cannot be continued is not printed.
    begun: bool,
    written: io::Result<()>,
}

impl Watcher for Terminal<'_> {
    fn token(&mut self, _: usize, _: usize, token: u32) {
        let mut piece = self.stream.push(token);
        if !std::mem::replace(&mut self.begun, true) {
            piece.insert_str(0, self.prompt);
        }
        if self.written.is_ok() && !piece.is_empty() {
            self.written = output::piece(&piece);
        }
    }

    fn ends(&mut self, _: usize, new_tokens: &[u32]) -> bool {
        self.written.is_err() || self.text.stops(new_tokens)
    }
}
