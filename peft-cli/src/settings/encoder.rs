//! The settings of the encoder that makes a prompt.

use peft_core::{Error, Result};
use peft_prompt::EncoderConfig;

use super::Settings;
use crate::flags::{field_flags::as_flag, reparameterization::Reparameterization};

/// Flags of the LSTM's layers.
const NUM_LAYERS: &str = "--encoder-num-layers";
const DROPOUT: &str = "--encoder-dropout";

impl Settings {
    /// The encoder that makes the rows of a prompt while it is trained, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a flag that this encoder, or a prompt without one, does not have.
    pub fn encoder(&self) -> Result<Option<EncoderConfig>> {
        let kind = self.reparameterization.unwrap_or(Reparameterization::None);
        let mut encoder = kind.encoder();
        let refuse = |flag: &str, message: String| Err(Error::setting(flag, message));
        match &mut encoder {
            None => {
                let given = [
                    ("--encoder-hidden-size", self.encoder_hidden_size.is_some()),
                    (NUM_LAYERS, self.encoder_num_layers.is_some()),
                    (DROPOUT, self.encoder_dropout.is_some()),
                ];
                if let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) {
                    let message = "not used without --reparameterization mlp or lstm".to_string();
                    return refuse(flag, message);
                }
                return Ok(None);
            }
            Some(EncoderConfig::Mlp { hidden_size }) => {
                *hidden_size = self.encoder_hidden_size;
                let of_lstm = "which are those of --reparameterization lstm".to_string();
                if self.encoder_num_layers.is_some() {
                    let message = format!("not used by mlp, which has no such layers, {of_lstm}");
                    return refuse(NUM_LAYERS, message);
                }
                if self.encoder_dropout.is_some() {
                    let message = format!("not used by mlp: it is between layers, {of_lstm}");
                    return refuse(DROPOUT, message);
                }
            }
            Some(EncoderConfig::Lstm { hidden_size, num_layers, dropout }) => {
                *hidden_size = self.encoder_hidden_size;
                *num_layers = self.encoder_num_layers.unwrap_or(*num_layers);
                *dropout = self.encoder_dropout.unwrap_or(*dropout);
            }
        }
        if let Some(encoder) = &encoder {
            encoder.validate().map_err(as_flag)?;
        }
        Ok(encoder)
    }

    /// Fills in what is not given of an encoder. A prompt without one has none of these settings.
    pub(super) fn complete_encoder(&mut self, encoder: Option<&EncoderConfig>) {
        match encoder {
            None => self.reparameterization = None,
            Some(EncoderConfig::Mlp { .. }) => {}
            Some(EncoderConfig::Lstm { num_layers, dropout, .. }) => {
                self.encoder_num_layers.get_or_insert(*num_layers);
                self.encoder_dropout.get_or_insert(*dropout);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn encoder(text: &str) -> Result<Option<EncoderConfig>> {
        toml::from_str::<Settings>(text).unwrap().encoder()
    }

    #[test]
    fn settings_make_an_encoder() {
        assert_eq!(encoder("").unwrap(), None);
        assert_eq!(encoder("reparameterization = \"none\"").unwrap(), None);
        assert_eq!(
            encoder("reparameterization = \"mlp\"\nencoder_hidden_size = 7").unwrap(),
            Some(EncoderConfig::Mlp { hidden_size: Some(7) })
        );
        let lstm = "reparameterization = \"lstm\"\n";
        assert_eq!(encoder(lstm).unwrap(), Some(EncoderConfig::lstm()));
        let given = encoder(&format!("{lstm}encoder_num_layers = 3\nencoder_dropout = 0.1"));
        let expected = EncoderConfig::Lstm { hidden_size: None, num_layers: 3, dropout: 0.1 };
        assert_eq!(given.unwrap(), Some(expected));
    }

    #[test]
    fn settings_that_an_encoder_does_not_have_are_refused_by_their_flag() {
        let (mlp, lstm) = ("reparameterization = \"mlp\"\n", "reparameterization = \"lstm\"\n");
        for (before, setting, flag) in [
            ("", "encoder_hidden_size = 4", "--encoder-hidden-size: not used without"),
            ("", "encoder_dropout = 0.1", "--encoder-dropout: not used without"),
            (mlp, "encoder_num_layers = 2", "--encoder-num-layers: not used by mlp"),
            (mlp, "encoder_dropout = 0.0", "--encoder-dropout: not used by mlp"),
            (mlp, "encoder_hidden_size = 0", "--encoder-hidden-size: found 0"),
            (lstm, "encoder_num_layers = 0", "--encoder-num-layers: found 0"),
            (lstm, "encoder_dropout = 1.0", "--encoder-dropout: found 1"),
            (lstm, "encoder_dropout = 0.1\nencoder_num_layers = 1", "--encoder-dropout: found 0.1"),
        ] {
            let error = encoder(&format!("{before}{setting}")).unwrap_err().to_string();
            assert!(error.starts_with(flag), "{error}");
        }
    }
}
