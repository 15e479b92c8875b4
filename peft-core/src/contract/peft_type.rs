//! The kinds of adapter, under the names that PEFT gives them.

/// What is stored, and hence which library can compute it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeftType {
    /// Rows in front of the embedded input.
    PromptTuning,
    /// Keys and values for every layer.
    PrefixTuning,
    /// P-tuning (v1), whose stored rows are the output of its encoder: a prompt.
    /// `adapter::prompt_file::into_prompt_tuning` makes one of prompt tuning of it.
    PTuning,
    /// Keys and values for some of the layers. Our own type: PEFT has no equivalent, and rejects
    /// the name instead of computing something else.
    PrefixTuningLayers,
    /// Keys and values for selected attention sites of an encoder-decoder. Our own type: PEFT has
    /// only half of a decoder's.
    PrefixTuningSites,
    /// Keys and values that stand between the source and the target of a decoder's row, for all layers or
    /// some. Our own type, as above: PEFT would put them in front of the row.
    InfixTuning,
    /// A prompt whose classifier reads the first real token. Our own type, as above.
    PromptTuningFirstToken,
    /// No virtual tokens, only a head: the baseline. Our own type.
    HeadOnly,
}

impl PeftType {
    const ALL: [(Self, &str); 8] = [
        (Self::PromptTuning, "PROMPT_TUNING"),
        (Self::PrefixTuning, "PREFIX_TUNING"),
        (Self::PTuning, "P_TUNING"),
        (Self::PrefixTuningLayers, "BURN_PEFT_PREFIX_TUNING_LAYERS"),
        (Self::PrefixTuningSites, "BURN_PEFT_PREFIX_TUNING_SITES"),
        (Self::InfixTuning, "BURN_PEFT_INFIX_TUNING"),
        (Self::PromptTuningFirstToken, "BURN_PEFT_PROMPT_TUNING_FIRST_TOKEN"),
        (Self::HeadOnly, "BURN_PEFT_HEAD_ONLY"),
    ];

    /// The name in the file.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(found, _)| *found == self).map_or("", |(_, name)| name)
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(found, _)| *found)
    }

    /// All names, in one line for a message.
    pub fn names() -> String {
        Self::ALL.map(|(_, name)| name).join(", ")
    }

    /// Whether rows in front of the input are stored, rather than keys and values.
    pub fn is_prompt(self) -> bool {
        matches!(self, Self::PromptTuning | Self::PTuning | Self::PromptTuningFirstToken)
    }
}
