//! From settings to a method, ready to be trained.

use std::path::Path;

use burn::tensor::Device;
use peft_core::{
    Adapter, Error, FrozenModel, NamedTensors, PeftMethod, PeftType, Result, Task,
    data::Labels,
    methods::{head_only::HeadOnly, prefix::Placement},
    text::load_tokenizer,
};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_prompt::{PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};

use crate::session::in_adapter;
use crate::settings::{MethodName, Settings, parse_layers, parse_positions, parse_sites};

/// The largest batch, width or number of virtual tokens: a slip of the finger beyond.
pub const LARGEST: usize = 1_000_000;

/// What a method starts from.
#[derive(Debug)]
pub struct Start<'a> {
    /// The run's settings.
    pub settings: &'a Settings,
    /// The frozen model.
    pub model: &'a dyn FrozenModel,
    /// Its folder, where its tokenizer is.
    pub dir: &'a Path,
    /// Names of the classes, for `--init labels`.
    pub labels: Option<&'a Labels>,
    /// The adapter given by `--init-adapter`.
    pub adapter: Option<&'a Adapter>,
    /// The autodiff device.
    pub device: Device,
}

/// The default learning rate of a method, by optimizer; measured in docs/RECIPES.md.
pub fn default_lr(method: MethodName, projection: bool, optimizer: &str) -> f64 {
    match (optimizer, method) {
        // Lester et al.: a constant 0.3.
        ("adafactor", _) => 0.3,
        ("sgd", _) => 0.1,
        (_, MethodName::Prompt) => 0.03,
        (_, MethodName::Head) => 1e-2,
        // An MLP multiplies the step: Li & Liang and PEFT stay near 1e-3 and below.
        (_, MethodName::Prefix | MethodName::Ptv2) if projection => 1e-3,
        (_, MethodName::Prefix | MethodName::Ptv2) => 3e-2,
    }
}

/// The P of a method where none is asked for.
pub fn default_num_virtual_tokens(method: MethodName) -> usize {
    if method == MethodName::Ptv2 { 16 } else { 20 }
}

/// What the virtual tokens of a method are at first.
pub fn default_init(method: MethodName) -> &'static str {
    if method == MethodName::Prompt { "vocab" } else { "random" }
}

/// Whether the method of these settings has an MLP while it trains.
pub fn has_projection(settings: &Settings, method: MethodName) -> bool {
    let default = method == MethodName::Prefix && settings.init_adapter.is_none();
    settings.prefix_projection.unwrap_or(default)
        && matches!(method, MethodName::Prefix | MethodName::Ptv2)
}

impl Start<'_> {
    fn seed(&self) -> u64 {
        self.settings.seed.unwrap_or(0)
    }

    /// P: the adapter's, else as set, else the default.
    fn num_virtual_tokens(&self, method: MethodName) -> Result<usize> {
        let default = default_num_virtual_tokens(method);
        let asked = self.settings.num_virtual_tokens;
        match (self.adapter.map(|adapter| adapter.config.num_virtual_tokens), asked) {
            (Some(found), Some(asked)) if found != asked => Err(Error::setting(
                "--num-virtual-tokens",
                format!("found {asked}, the adapter of --init-adapter has {found}"),
            )),
            (Some(found), _) => Ok(found),
            (None, asked) => {
                let p = asked.unwrap_or(default);
                // Before anything of that size is made; rows are looked at later.
                match self.model.spec().max_positions {
                    Some(limit) if p >= limit => Err(Error::setting(
                        "--num-virtual-tokens",
                        format!("found {p}, the model has {limit} positions for them and the rows"),
                    )),
                    _ if p > LARGEST => Err(Error::setting(
                        "--num-virtual-tokens",
                        format!("found {p}, expected at most {LARGEST}"),
                    )),
                    _ => Ok(p),
                }
            }
        }
    }

    /// How virtual tokens are to begin.
    fn init(&self, method: MethodName) -> Result<&str> {
        let init = self.settings.init.as_deref().unwrap_or(default_init(method));
        if self.settings.init_text.is_some() && !matches!(init, "text" | "words") {
            return Err(Error::setting("--init-text", format!("not used by --init {init}")));
        }
        Ok(init)
    }

    /// The width of the MLP, where it is asked for and there is one.
    fn hidden_size(&self, method: MethodName) -> Result<Option<usize>> {
        let asked = self.settings.prefix_hidden_size;
        if asked.is_some() && !has_projection(self.settings, method) {
            let message = "not used without --prefix-projection";
            return Err(Error::setting("--prefix-hidden-size", message));
        }
        Ok(asked)
    }

    /// The stored tensor of `--init-adapter`, checked to be of the method's kind.
    fn adapter_state(&self, method: MethodName) -> Result<Option<NamedTensors>> {
        let Some(adapter) = self.adapter else { return Ok(None) };
        for (flag, given) in [
            ("--init", self.settings.init.is_some()),
            ("--init-text", self.settings.init_text.is_some()),
        ] {
            if given {
                return Err(Error::setting(flag, "not used where --init-adapter is the start"));
            }
        }
        let found = adapter.config.peft_type;
        if found.is_prompt() != (method == MethodName::Prompt) {
            return Err(Error::setting(
                "--init-adapter",
                format!("holds {}, which cannot start {}", found.name(), method.name()),
            ));
        }
        // Shapes are compared with the model here, where the message can name the adapter.
        let dir = self.settings.init_adapter.as_deref().unwrap_or(Path::new(""));
        let device = self.device.clone().without_autodiff();
        let state = adapter.start_state(self.model.spec(), &device).map_err(in_adapter(dir))?;
        if state.is_empty() {
            let message = "holds a head alone, no virtual tokens to start from";
            return Err(Error::setting("--init-adapter", message));
        }
        Ok(Some(state))
    }

    /// Where a prefix goes on an encoder-decoder: as the adapter to start from has it, else as set.
    fn placement(&self) -> Result<Placement> {
        let settings = self.settings;
        let asked = Placement {
            sites: settings.sites.as_deref().map(parse_sites).transpose()?,
            prefix_positions: settings
                .prefix_positions
                .as_deref()
                .map(parse_positions)
                .transpose()?,
            relative_bias: settings.relative_bias,
        };
        let given = [
            ("--sites", asked.sites.is_some()),
            ("--prefix-positions", asked.prefix_positions.is_some()),
            ("--relative-bias", asked.relative_bias.is_some()),
        ];
        let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) else {
            let of_adapter = |adapter: &Adapter| adapter.placement(self.model.spec());
            return Ok(self.adapter.map(of_adapter).unwrap_or_default());
        };
        if self.adapter.is_some() {
            let message = "not used where --init-adapter is the start: it has its own";
            return Err(Error::setting(flag, message));
        }
        if !self.model.spec().is_encoder_decoder() {
            let name = &self.model.spec().model_type;
            let message = format!("not used by a {name} model, which has one attention site");
            return Err(Error::setting(flag, message));
        }
        Ok(asked)
    }

    /// Token ids of a text, without special tokens.
    fn pieces(&self, text: &str) -> Result<Vec<u32>> {
        let path = self.dir.join("tokenizer.json");
        let encoding = load_tokenizer(self.dir)?
            .encode(text, false)
            .map_err(|error| Error::file(&path, format!("cannot encode {text:?}: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn init_text(&self) -> Result<Vec<u32>> {
        self.pieces(self.settings.required(&self.settings.init_text, "--init-text")?)
    }

    fn unknown_init<T>(&self, found: &str, known: &str) -> Result<T> {
        Err(Error::setting("--init", format!("found {found:?}, expected one of {known}")))
    }

    fn unused(&self, method: MethodName, flags: &[(bool, &str)]) -> Result<()> {
        match flags.iter().find(|(given, _)| *given) {
            Some((_, flag)) => {
                Err(Error::setting(*flag, format!("{} has no such setting", method.name())))
            }
            None => Ok(()),
        }
    }

    /// Prompt tuning.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that cannot be used.
    pub fn prompt(&self) -> Result<PromptTuning> {
        let settings = self.settings;
        self.unused(
            MethodName::Prompt,
            &[
                (settings.layers.is_some(), "--layers"),
                (settings.prefix_projection.is_some(), "--prefix-projection"),
                (settings.prefix_hidden_size.is_some(), "--prefix-hidden-size"),
                (settings.prefix_dropout.is_some(), "--prefix-dropout"),
                (settings.sites.is_some(), "--sites"),
                (settings.prefix_positions.is_some(), "--prefix-positions"),
                (settings.relative_bias.is_some(), "--relative-bias"),
            ],
        )?;
        let config = PromptConfig::new(self.num_virtual_tokens(MethodName::Prompt)?);
        if let Some(state) = self.adapter_state(MethodName::Prompt)? {
            return PromptTuning::from_state(config, self.model.spec(), &state, &self.device);
        }
        let init = match self.init(MethodName::Prompt)? {
            "vocab" => PromptInit::default(),
            "random" => PromptInit::random(),
            "scaled" => PromptInit::RandomScaled,
            "text" => PromptInit::text(self.init_text()?),
            "labels" => {
                let labels = self.labels.ok_or_else(|| {
                    Error::setting("--init", "labels: this task has no classes with names")
                })?;
                let pieces = labels.names().iter().map(|name| self.pieces(name));
                PromptInit::class_labels(pieces.collect::<Result<_>>()?)
            }
            other => return self.unknown_init(other, "vocab, random, scaled, labels, text"),
        };
        PromptTuning::init(config, self.model, &init, self.seed(), &self.device)
    }

    /// The head alone.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a task without a head, or a setting of virtual tokens.
    pub fn head(&self) -> Result<HeadOnly> {
        let settings = self.settings;
        if !matches!(settings.task, Some(Task::SeqCls | Task::TokenCls | Task::QuestionAns)) {
            return Err(Error::setting("--method", "head: only classification has a head"));
        }
        self.unused(
            MethodName::Head,
            &[
                (settings.num_virtual_tokens.is_some(), "--num-virtual-tokens"),
                (settings.init.is_some(), "--init"),
                (settings.init_text.is_some(), "--init-text"),
                (settings.layers.is_some(), "--layers"),
                (settings.prefix_projection.is_some(), "--prefix-projection"),
                (settings.prefix_hidden_size.is_some(), "--prefix-hidden-size"),
                (settings.prefix_dropout.is_some(), "--prefix-dropout"),
                (settings.sites.is_some(), "--sites"),
                (settings.prefix_positions.is_some(), "--prefix-positions"),
                (settings.relative_bias.is_some(), "--relative-bias"),
            ],
        )?;
        Ok(HeadOnly::new())
    }

    /// Prefix tuning.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that cannot be used.
    pub fn prefix(&self) -> Result<PrefixTuning> {
        let settings = self.settings;
        self.unused(MethodName::Prefix, &[(settings.layers.is_some(), "--layers")])?;
        let mut config = PrefixConfig::new(self.num_virtual_tokens(MethodName::Prefix)?)
            .with_placement(self.placement()?)
            .with_prefix_projection(has_projection(settings, MethodName::Prefix))
            .with_dropout(settings.prefix_dropout.unwrap_or(0.0));
        if let Some(size) = self.hidden_size(MethodName::Prefix)? {
            config = config.with_hidden_size(size);
        }
        if let Some(state) = self.adapter_state(MethodName::Prefix)? {
            self.no_projection(MethodName::Prefix)?;
            return PrefixTuning::from_state(config, self.model.spec(), &state, &self.device);
        }
        let init = match self.init(MethodName::Prefix)? {
            "random" => PrefixInit::Random,
            "zero" => PrefixInit::Zero,
            "words" => PrefixInit::activations(self.init_text()?),
            other => return self.unknown_init(other, "random, zero, words"),
        };
        PrefixTuning::init(config, self.model, &init, self.seed(), &self.device)
    }

    /// P-tuning v2.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that cannot be used.
    pub fn ptv2(&self) -> Result<PTuningV2> {
        let settings = self.settings;
        let of_adapter = self
            .adapter
            .filter(|adapter| adapter.config.peft_type != PeftType::PrefixTuning)
            .and_then(|adapter| adapter.config.own.layers.clone());
        let asked = settings.layers.as_deref().map(parse_layers).transpose()?;
        let layers = match (of_adapter, asked) {
            (Some(found), Some(asked)) if found != asked => {
                let message =
                    format!("found {asked:?}, the adapter of --init-adapter has {found:?}");
                return Err(Error::setting("--layers", message));
            }
            (found, asked) => found.or(asked),
        };
        let mut config = PTuningV2Config::new(self.num_virtual_tokens(MethodName::Ptv2)?)
            .with_layers(layers)
            .with_placement(self.placement()?)
            .with_prefix_projection(has_projection(settings, MethodName::Ptv2))
            .with_dropout(settings.prefix_dropout.unwrap_or(0.0));
        if let Some(size) = self.hidden_size(MethodName::Ptv2)? {
            config = config.with_hidden_size(size);
        }
        if let Some(state) = self.adapter_state(MethodName::Ptv2)? {
            self.no_projection(MethodName::Ptv2)?;
            return PTuningV2::from_state(config, self.model.spec(), &state, &self.device);
        }
        let init = match self.init(MethodName::Ptv2)? {
            "random" => PTuningV2Init::default(),
            "zero" => PTuningV2Init::Zero,
            "words" => PTuningV2Init::activations(self.init_text()?),
            other => return self.unknown_init(other, "random, zero, words"),
        };
        PTuningV2::init(config, self.model, &init, self.seed(), &self.device)
    }

    /// An adapter's file holds folded keys and values, which no MLP can be started from.
    fn no_projection(&self, method: MethodName) -> Result<()> {
        if has_projection(self.settings, method) {
            return Err(Error::setting(
                "--prefix-projection",
                "--init-adapter holds folded keys and values: they start a prefix without the MLP",
            ));
        }
        Ok(())
    }
}
