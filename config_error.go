package auth0grpc

import "github.com/auth0grpc/auth0grpc/internal/configerror"

// A ConfigError is one fault in a [Config]. [New] returns all of them together, joined
// by errors.Join and sorted by field.
type ConfigError struct {
	Field  string // the field, with the key of a map: Methods["/a.B/C"]
	Value  string // the faulty value; empty if it is missing
	Reason string // the fault and the remedy
}

// Error names the field, the value, the fault and the remedy.
func (e *ConfigError) Error() string {
	return configerror.Text("auth0grpc", e.Field, e.Value, e.Reason)
}
