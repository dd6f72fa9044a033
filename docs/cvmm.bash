# SPDX-License-Identifier: Apache-2.0
# bash completion for cvmm: all names come from cvmm itself.

_cvmm_keys() # the word after --set: keys, then the choices of a key
{
	local cur=$1 key line
	if [[ $cur != *=* ]]; then
		compopt -o nospace
		mapfile -t COMPREPLY < <(compgen -S = -W \
			"$("$cvmm" help --keys 2>/dev/null | cut -d' ' -f1)" \
			-- "$cur")
		return
	fi
	key=${cur%%=*}
	line=$("$cvmm" help --keys 2>/dev/null | grep -F "$key ")
	[[ $line == "$key "* ]] &&
		mapfile -t COMPREPLY < <(compgen -W "${line#* }" -- \
			"${cur#*=}")
}

_cvmm()
{
	local cvmm=$1 cur=${COMP_WORDS[COMP_CWORD]}
	local command=${COMP_WORDS[1]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	# '=' is a word of its own: put "--set KEY = VALUE" together again.
	if [[ $cur == = ]]; then
		cur=
		prev+==
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}=
	fi
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W \
			"$("$cvmm" help --commands 2>/dev/null)" -- "$cur")
	elif [[ $prev == --set ]]; then
		_cvmm_keys "$cur"
	elif [[ $prev == *.*= ]]; then
		_cvmm_keys "$prev$cur"
	elif [[ $prev == --cvm ]]; then
		_cvmm_keys "vm.cvm=$cur"
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$("$cvmm" help --options "$command" 2>/dev/null)" \
			-- "$cur")
	elif [[ $command == help ]]; then
		mapfile -t COMPREPLY < <(compgen -W "keys status
			$("$cvmm" help --commands 2>/dev/null)" -- "$cur")
	else
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}
complete -F _cvmm cvmm
