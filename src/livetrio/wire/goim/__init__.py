"""goim's wire protocol: v2 binary frames, v1 JSON frames, Bilibili's compressed versions."""
