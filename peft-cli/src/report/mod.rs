//! Pages about runs, in HTML: each a file that needs no other, and no network.
//!
//! | file | contents |
//! |---|---|
//! | `html` | `Element`: markup whose texts cannot leave their places |
//! | `page` | a whole page: its head, its sections, its style and its script |
//! | `parts` | what sections consist of: tables, facts, commands |
//! | `chart` | curves and points, to be pointed at and to be walked through with keys |
//! | `heat` | tables whose cells are shaded by their values |
//! | `curve` | points of a curve, few enough to be drawn |
//! | [`of_run`] | the page about a run |
//! | `predictions` | its classes and its rows |
//! | `tasks` | the tasks of a joint run |
//! | [`of_comparison`] | the page about runs side by side |
//! | [`ended`] | the page about a run that has just ended |
//! | `grids` | scores by two settings |
//! | `links` | from a page to another |

mod chart;
mod curve;
pub mod ended;
mod grids;
mod heat;
pub(crate) mod html;
mod links;
pub mod of_comparison;
pub mod of_run;
mod page;
mod parts;
mod predictions;
mod tasks;
