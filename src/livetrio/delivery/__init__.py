"""Media going out at its own pace or over HTTP: FLV now."""
