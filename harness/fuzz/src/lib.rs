//! What every parser promises, for the fuzz targets: the same functions that the property tests call.

#[path = "../../tests/it/parsers/promise.rs"]
pub mod promise;
