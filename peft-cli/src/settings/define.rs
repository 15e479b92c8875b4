//! From one list, what settings are: flags, keys of a TOML file, and names.

/// Defines the settings once: as flags, as keys of a TOML file, and by their names.
macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $type:ty,)*) => {
        /// Settings of a training run. All are optional here; those that are required are checked when the
        /// run starts.
        #[derive(
            clap::Args, Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize,
        )]
        #[serde(deny_unknown_fields)]
        pub struct Settings {
            $($(#[$attribute])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $name: Option<$type>,)*
        }

        impl Settings {
            /// Their names.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Whether a file may name a setting so: by its name, or by one that it had before.
            pub fn is_name(name: &str) -> bool {
                Self::NAMES.contains(&name) || name == "compute"
            }

            /// The names of those that are given.
            pub fn names(&self) -> impl Iterator<Item = &'static str> {
                Self::NAMES.iter().copied().filter(|name| self.has(name))
            }

            /// Whether a setting of this name is given.
            pub fn has(&self, name: &str) -> bool {
                match name {
                    $(stringify!($name) => self.$name.is_some(),)*
                    _ => false,
                }
            }

            /// Takes a setting of this name back.
            pub fn unset(&mut self, name: &str) {
                match name {
                    $(stringify!($name) => self.$name = None,)*
                    _ => {}
                }
            }

            /// Each setting, of `other` where it is not given here.
            pub(super) fn each_or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name),)* }
            }
        }
    };
}

pub(super) use settings;
