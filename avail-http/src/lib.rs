//! The endpoints of avail.
