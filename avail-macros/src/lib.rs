//! The attributes of avail.
