/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a machine boots from a drive that was given to it: the BIOS reads the sectors behind this one,
 * all their bits are turned over, and the BIOS writes them farther on. So data goes both ways, by DMA
 * into the machine's memory. Then the machine ends, by port 0xf4 (QEMU's isa-debug-exit): 0x10 if all
 * went well, else 1.
 */
	.code16
	.globl	_start

	.equ	COUNT, 16		/* sectors */
	.equ	FROM, 1			/* LBAs */
	.equ	TO, 100
	.equ	BUFFER, 0x8000

_start:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$_start, %sp
	cld

	movb	$0x42, %ah		/* extended read, of the drive in dl */
	movw	$packet, %si
	int	$0x13
	jc	failed

	movw	$BUFFER, %di
	movw	$(COUNT * 512 / 2), %cx
turn:	notw	(%di)
	addw	$2, %di
	loop	turn

	movl	$TO, lba
	movw	$COUNT, packet + 2	/* the BIOS has written how many it read */
	movw	$0x4300, %ax		/* extended write */
	movw	$packet, %si
	int	$0x13
	jc	failed

	movb	$0x10, %al
	jmp	end
failed:	movb	$1, %al
end:	outb	%al, $0xf4
	hlt
	jmp	end

	.balign	4
packet:	.byte	16, 0
	.word	COUNT
	.word	BUFFER, 0
lba:	.long	FROM, 0

	.org	_start + 510
	.word	0xaa55
