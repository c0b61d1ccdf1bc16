//! A plan for unit tests.

use agentfile::plan::Plan;

/// One of everything that the viewers show.
pub(crate) fn plan() -> Plan {
    serde_json::from_str(TEXT).unwrap()
}

const TEXT: &str = r#"{
  "format": 1, "agent": "sample", "base": {"kind": "host"},
  "command": {"argv": ["ls", "-la"], "origin": "Agentfile:2:1"},
  "workdir": "/workspace",
  "environment": [{"name": "LANG", "value": "C.UTF-8", "origin": "policies/base.toml"}],
  "mounts": [
    {"target": "/usr", "source": {"kind": "bind", "source": "/usr"}, "access": "read-only", "optional": true, "origin": "policies/base.toml"},
    {"target": "/workspace", "source": {"kind": "copy", "source": ".", "layer": "copy-0",
      "protected": [{"path": ".git/hooks", "directory": true, "origin": "policies/protected.toml"}]},
      "access": "read-write", "origin": "Agentfile:3:1"},
    {"target": "/data", "source": {"kind": "bind", "source": "~/data"}, "access": "read-only", "origin": "Agentfile:4:1"}
  ],
  "landlock": {"minimum_abi": 1, "rules": [{"path": "/workspace", "rights": "full", "origin": "Agentfile:3:1"}]},
  "seccomp": {"profile": "default", "table_sha256": "00", "origin": "policies/seccomp.toml"},
  "capabilities": {"keep": [], "no_new_privs": true, "securebits": ["noroot"]},
  "namespaces": ["user", "mount"],
  "limits": {"cgroup": [{"controller": "memory", "file": "memory.max", "value": "1073741824", "origin": "Agentfile:5:1"}],
    "rlimits": [], "wall_seconds": {"value": 600, "origin": "Agentfile:6:1"}, "disk_bytes": null, "counted": []},
  "egress": [], "cedar": {"schema_sha256": "00", "policies": [], "entities": []}, "broker": [],
  "audit": {"level": "basic", "origin": "Agentfile:7:1"},
  "grants": [{"asks": "read `~/data`", "origin": "Agentfile:4:1"}]
}"#;
