// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func prefetchW(p *uint64)
TEXT ·prefetchW(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	BYTE $0x0F; BYTE $0x0D; BYTE $0x08             // PREFETCHW (AX), which the assembler does not know
	BYTE $0x0F; BYTE $0x0D; BYTE $0x48; BYTE $0x40 // PREFETCHW 64(AX)
	RET

// func prefetchW2(p, q *uint64)
TEXT ·prefetchW2(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ q+8(FP), CX
	BYTE $0x0F; BYTE $0x0D; BYTE $0x08             // PREFETCHW (AX)
	BYTE $0x0F; BYTE $0x0D; BYTE $0x48; BYTE $0x40 // PREFETCHW 64(AX)
	BYTE $0x0F; BYTE $0x0D; BYTE $0x09             // PREFETCHW (CX)
	BYTE $0x0F; BYTE $0x0D; BYTE $0x49; BYTE $0x40 // PREFETCHW 64(CX)
	RET

// func prefetch(p *uint64)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVQ        p+0(FP), AX
	PREFETCHT0 (AX)
	RET
