# SPDX-License-Identifier: Apache-2.0
# git by itself: the processes that it starts are its own.
export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000' HOME=$PWD
git config --global user.name a
git config --global user.email b
git config --global init.defaultBranch main
$E git init -q first
cd first
seq 300 >numbers
mkdir folder
printf 'one two\nthree\n' >folder/words
$E git add .
$E git commit -qm one
$E git checkout -qb side
sed -i s/5/five/ numbers
$E git commit -qam two
$E git checkout -q main
echo four >>folder/words
$E git commit -qam three
$E git merge -q --no-edit side
cd ..
$E git clone -q first second
$E git clone -q --no-local first third
cd third
$E git log --oneline --graph
$E git grep -nP '^(?<a>1)(?:2|3)\d$'
$E git grep -cP '\bt\w+'
$E git gc -q
$E git fsck --full
$E git pull -q
echo changed >>numbers
$E git stash -q
$E git stash pop | tail -n 1
$E git --no-pager diff --stat
