package docker

import (
	"context"
	"time"
)

// StartedAt asks when the container was started last, by the engine's clock.
// It is not cached: it is what tells one life of a container from the next. The
// zero time means that it was never started.
func (c *Client) StartedAt(ctx context.Context, id string) (time.Time, error) {
	var started time.Time
	err := c.call(ctx, "inspect container "+short(id), func(ctx context.Context, s *session) error {
		inspected, err := s.sdk.ContainerInspect(ctx, id)
		if err != nil {
			return err
		}
		if inspected.ContainerJSONBase == nil || inspected.State == nil {
			return malformed("the answer has no state")
		}
		started, err = time.Parse(time.RFC3339Nano, inspected.State.StartedAt)
		if err != nil {
			return malformed("the container's start is no time: " + inspected.State.StartedAt)
		}
		return nil
	})
	return started, err
}
