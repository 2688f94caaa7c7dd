// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func Pause(n uint32)
TEXT ·Pause(SB), NOSPLIT, $0-4
	MOVL n+0(FP), AX

again:
	PAUSE
	DECL AX
	JNZ  again
	RET
