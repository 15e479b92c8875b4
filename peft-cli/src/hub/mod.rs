//! Models and adapters of the Hugging Face Hub, named `org/name` or `org/name@revision`.
//!
//! Downloads go to the cache folder that Python's `huggingface_hub` keeps, in its layout; what is already there is used
//! without a single request. The folder, the token and offline mode come from the same environment variables.
//!
//! | file | what it does |
//! |---|---|
//! | [`resolve`] | from a path or a name to a local folder |
//! | [`name`] | `org/name@revision`, and its spelling in paths and URLs |
//! | [`config`] | endpoint, cache folder, token and offline mode, from the environment |
//! | [`cache`] | the cache folder: refs, snapshots, blobs, locks |
//! | [`files`] | which files of a repository are needed |
//! | [`client`] | HTTP requests: redirects, retries, who is sent the token |
//! | [`url`] | which URLs belong to the Hub |
//! | [`transfer`] | downloads a file to the cache: resumes, verifies, puts it in place |
//! | [`checksum`] | verifies bytes against a file's ETag |
//! | [`report`] | how the program is told of downloads |
//! | [`error`] | what can go wrong, and whether to retry |

pub mod cache;
pub mod checksum;
pub mod client;
pub mod config;
pub mod error;
pub mod files;
pub mod name;
pub mod report;
pub mod resolve;
pub mod transfer;
pub mod url;

pub use error::HubError;
pub use name::RepoName;
pub use report::{Download, Progress, Report};
pub use resolve::{adapter, base_name, is_name, model, model_config};
