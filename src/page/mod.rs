//! The page: people ask, decide and look in a browser, with their own login and nobody else's power.
//!
//! [`assets`] are the files of its front end and [`files`] how they are sent, [`rules`] are what calls are held to, [`guard`]
//! says which are taken, [`session`] whose browser it is on this
//! machine, [`table`] what may go to the API server and [`review`] what a review may be; [`forward`] makes such a call anew
//! and sends it with the login of [`caller`]. [`desk`] is who computes what the page tells beside objects, and [`routes`]
//! leads each call to its place; [`door`] is the port on this machine, [`cluster_door`] that in the cluster, which browsers reach
//! at an [`origin`] by way of a proxy, and [`answer`] what every answer carries.
//!
//! It holds no rights of its own, keeps nothing between calls but the session, and decides nothing: the API server judges
//! each call, and `src/core` each request. It must not know the plugin.

pub mod answer;
pub mod assets;
pub mod caller;
pub mod cluster_door;
pub mod desk;
pub mod door;
pub mod files;
pub mod forward;
pub mod guard;
pub mod origin;
pub mod refusal;
pub mod review;
pub mod routes;
pub mod rules;
pub mod session;
pub mod table;
#[cfg(test)]
mod tests;
