// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

const guideHead = `package guide

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/conn"
)

`

func TestGuideCompiles(t *testing.T) { testutil.CheckGuide(t, "../docs/guide/conn.md", guideHead, 4) }
