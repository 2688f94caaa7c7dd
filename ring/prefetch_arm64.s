// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func prefetchW(p *uint64)
TEXT ·prefetchW(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PSTL1KEEP
	PRFM 64(R0), PSTL1KEEP
	RET

// func prefetchW2(p, q *uint64)
TEXT ·prefetchW2(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD q+8(FP), R1
	PRFM (R0), PSTL1KEEP
	PRFM 64(R0), PSTL1KEEP
	PRFM (R1), PSTL1KEEP
	PRFM 64(R1), PSTL1KEEP
	RET

// func prefetch(p *uint64)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET
