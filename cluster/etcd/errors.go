// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/skybus-io/skybus/cluster"
)

// explain turns an error of etcd's client into one of package cluster where there is one for it, and
// names the cause where that is for somebody to mend.
func explain(err error) error {
	switch code := rpctypes.Error(err); {
	case err == nil:
		return nil
	case errors.Is(err, cluster.ErrUnavailable):
		return err
	case is(code, rpctypes.ErrCompacted, rpctypes.ErrFutureRev):
		return fmt.Errorf("%w: %w", cluster.ErrCompacted, err)
	case is(code, rpctypes.ErrLeaseNotFound):
		return fmt.Errorf("%w: %w", cluster.ErrLeaseLost, err)
	case is(code, rpctypes.ErrRequestTooLarge, rpctypes.ErrTooManyOps, rpctypes.ErrLeaseTTLTooLarge):
		return fmt.Errorf("%w: %w", cluster.ErrLimit, err)
	case is(code, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: etcd's quota of disk space is used up; compact and defragment it, then disarm its alarm: %w", cluster.ErrUnavailable, err)
	case is(code, rpctypes.ErrCorrupt):
		return fmt.Errorf("%w: a server of etcd has found its data damaged: %w", cluster.ErrUnavailable, err)
	case is(code, rpctypes.ErrAuthFailed, rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound, rpctypes.ErrAuthNotEnabled, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("%w: it does not let this user in: %w", cluster.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
}

func is(err error, list ...error) bool {
	for _, one := range list {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// transient reports whether another attempt to read may succeed.
func transient(err error) bool {
	if errors.Is(err, errSilent) {
		return true
	}
	code := status.Code(err)
	if known, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err)); ok {
		code = known.Code()
	}
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Unknown, codes.Aborted, codes.ResourceExhausted, codes.Canceled, codes.Internal:
		return true
	}
	return false
}
