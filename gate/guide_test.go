// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// guideHead is what the blocks of the guide have in common.
const guideHead = `package guide

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/gate/dial"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/node"
)

func check(context.Context, []byte) ([]byte, bool)

`

func TestGuideCompiles(t *testing.T) { testutil.CheckGuide(t, "../docs/guide/gate.md", guideHead, 7) }
